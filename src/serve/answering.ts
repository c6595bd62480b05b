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

  /** Awaits a part of the answer. If it fails, the other parts end too, and the error says why the request ended. */
  async await<T>(part: Promise<T>): Promise<T> {
    try {
      return await part;
    } catch (error) {
      const { reason } = this.#controller.signal;
      const cause: unknown = reason instanceof Problem ? reason : error;
      this.end(cause);
      throw cause;
    }
  }
}

/** Receives choices as they come. */
export interface ChoiceListener {
  onToken(choice: number, token: GeneratedToken): void;
  /** A choice has ended; others may go on. */
  onEnd(choice: number, result: GenerateResult): void;
}

/** Runs choices to their ends. */
export async function runAll(
  choices: readonly RunningChoice[],
  metrics: Metrics,
  end: RequestEnd,
  listener?: ChoiceListener,
): Promise<readonly GenerateResult[]> {
  const run = async (choice: RunningChoice, i: number): Promise<GenerateResult> => {
    for await (const token of choice) listener?.onToken(i, token);
    const result = await choice.result();
    const { timings, tokens, prompt_tokens } = result;
    metrics.generated({
      promptTokens: prompt_tokens.length,
      newTokens: tokens.length,
      firstTokenMs: timings.time_to_first_token_ms,
      decodeMs: timings.decode_ms,
    });
    listener?.onEnd(i, result);
    return result;
  };
  return end.await(Promise.all(choices.map(run)));
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
