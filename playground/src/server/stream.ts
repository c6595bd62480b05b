/** An answer of a server as it comes, by OpenAI's interface. */
import type { Server } from "../state/server.ts";
import { ask, Refusal, stopped } from "./ask.ts";

/** A token's log probability, and the likeliest in its place. */
export interface Odds {
  readonly text: string;
  readonly logprob: number;
  readonly top: readonly { readonly text: string; readonly logprob: number }[];
}

export interface Piece {
  /** What became printable. */
  readonly text: string;
  /** Of the tokens in it; empty if the server tells none. */
  readonly odds: readonly Odds[];
}

interface ScoredToken {
  readonly token: string;
  readonly logprob: number;
}

/** A chunk of either kind of request. */
interface Chunk {
  readonly error?: { readonly message?: string; readonly code?: string | null };
  readonly choices?: readonly {
    readonly text?: string;
    readonly delta?: { readonly content?: string | null };
    readonly finish_reason?: string | null;
    readonly logprobs?: {
      readonly tokens?: readonly string[];
      readonly token_logprobs?: readonly number[];
      readonly top_logprobs?: readonly Readonly<Record<string, number>>[] | null;
      readonly content?: readonly (ScoredToken & { readonly top_logprobs?: readonly ScoredToken[] })[] | null;
    } | null;
  }[];
}

/**
 * @param path `/v1/completions` or `/v1/chat/completions`
 * @returns why it ended, in OpenAI's words
 */
export async function* streamAnswer(
  server: Server,
  path: string,
  body: object,
  signal: AbortSignal,
): AsyncGenerator<Piece, string | null> {
  const response = await ask(server, path, {
    signal,
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...body, model: server.model, stream: true }),
  });
  let finish: string | null = null;
  try {
    for await (const data of eventsIn(response)) {
      if (data === "[DONE]") break;
      const { error, choices } = JSON.parse(data) as Chunk;
      if (error) throw new Refusal(`${server.address} stopped: ${error.message ?? "no reason given"}`, {});
      const choice = choices?.[0];
      if (!choice) continue;
      finish = choice.finish_reason ?? finish;
      const piece = { text: choice.text ?? choice.delta?.content ?? "", odds: oddsIn(choice.logprobs) };
      if (piece.text !== "" || piece.odds.length > 0) yield piece;
    }
  } catch (error) {
    if (signal.aborted) throw stopped();
    if (error instanceof Refusal) throw error;
    throw new Refusal(`The answer of ${server.address} broke off: ${(error as Error).message}`, {});
  }
  return finish;
}

/** Data of server-sent events. */
async function* eventsIn({ body }: Response): AsyncGenerator<string> {
  let rest = "";
  const reader = body?.pipeThrough(new TextDecoderStream()).getReader();
  for (let next = await reader?.read(); next && !next.done; next = await reader?.read()) {
    const lines = (rest + next.value).split(/\r?\n/);
    rest = lines.pop() ?? "";
    for (const line of lines) if (line.startsWith("data:")) yield line.slice(5).trim();
  }
}

function oddsIn(scores: NonNullable<Chunk["choices"]>[number]["logprobs"]): readonly Odds[] {
  if (!scores) return [];
  if (scores.content) {
    return scores.content.map(({ token, logprob, top_logprobs = [] }) => {
      return { text: token, logprob, top: top_logprobs.map((each) => ({ text: each.token, logprob: each.logprob })) };
    });
  }
  const { tokens = [], token_logprobs = [], top_logprobs } = scores;
  return tokens.map((text, i) => ({
    text,
    logprob: token_logprobs[i] ?? Number.NaN,
    top: Object.entries(top_logprobs?.[i] ?? {})
      .map(([each, logprob]) => ({ text: each, logprob }))
      .sort((a, b) => b.logprob - a.logprob),
  }));
}
