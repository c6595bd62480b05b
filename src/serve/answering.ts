/** Runs the choices of a request together: all of them, or none. */
import type { GeneratedToken, GenerateResult } from "../index.ts";
import type { RunningChoice } from "./engine.ts";
import type { Metrics } from "./metrics.ts";
import { Problem } from "./problem.ts";

/** What ends a request early: its client leaves, its time is over, or one of its choices fails. */
export class RequestEnd {
  readonly #controller = new AbortController();
  readonly signal: AbortSignal;
  readonly #timeout: ReturnType<typeof setTimeout>;

  /** @param client fires if the client leaves. @param mostMs time for all of the answer */
  constructor(client: AbortSignal, mostMs: number) {
    this.signal = AbortSignal.any([client, this.#controller.signal]);
    this.#timeout = setTimeout(() => {
      const problem = new Problem(408, `The answer took longer than ${mostMs / 1000} s`, { code: "timeout" });
      this.#controller.abort(problem);
    }, mostMs);
  }

  /** Begins what the request asks for. If one part is refused, the parts before it end too. */
  begin<T>(make: () => T): T {
    try {
      return make();
    } catch (error) {
      this.end(error);
      throw error;
    }
  }

  end(reason?: unknown): void {
    clearTimeout(this.#timeout);
    this.#controller.abort(reason);
  }

  /** The reason for which it ended, for an error that only says that it did. */
  causeOf(error: unknown): unknown {
    const { reason } = this.#controller.signal;
    return reason instanceof Problem ? reason : error;
  }
}

/** Runs choices to their ends. @param onToken called with each token as it comes */
export async function runAll(
  choices: readonly RunningChoice[],
  metrics: Metrics,
  end: RequestEnd,
  onToken: (choice: number, token: GeneratedToken) => void = () => undefined,
): Promise<readonly GenerateResult[]> {
  try {
    return await Promise.all(
      choices.map(async (choice, i) => {
        for await (const token of choice) onToken(i, token);
        const result = await choice.result();
        const { timings, tokens, prompt_tokens } = result;
        metrics.generated({
          promptTokens: prompt_tokens.length,
          newTokens: tokens.length,
          firstTokenMs: timings.time_to_first_token_ms,
          decodeMs: timings.decode_ms,
        });
        return result;
      }),
    );
  } catch (error) {
    const cause = end.causeOf(error);
    end.end(cause);
    throw cause;
  }
}

/** OpenAI's word for why a text ended. */
export function finishReason({ finish }: Pick<GenerateResult, "finish">): "stop" | "length" {
  return finish === "stop" ? "stop" : "length";
}

/** What was read and written, in OpenAI's shape; a prompt counts once, however many choices it has. */
export function usageOf(results: readonly GenerateResult[], perPrompt: number): object {
  const prompts = results.filter((_, i) => i % perPrompt === 0);
  const prompt_tokens = prompts.reduce((sum, each) => sum + each.prompt_tokens.length, 0);
  const completion_tokens = results.reduce((sum, { tokens }) => sum + tokens.length, 0);
  const cached_tokens = prompts.reduce((sum, { reused_tokens }) => sum + reused_tokens, 0);
  return {
    prompt_tokens,
    completion_tokens,
    total_tokens: prompt_tokens + completion_tokens,
    prompt_tokens_details: { cached_tokens },
  };
}
