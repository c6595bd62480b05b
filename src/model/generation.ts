/** Generation for callers: text or ids in, a stream of tokens with printable text out, and a summary at the end. */
import { SluiceError } from "../errors.ts";
import {
  type DecodedToken,
  type DecodeOptions,
  decode,
  type FinishReason,
  type Prompt,
  prepareDecode,
} from "../runtime/decode.ts";
import type { StageNotice } from "../runtime/live-stages.ts";
import type { SettledSampling } from "../runtime/sampling.ts";
import type { Sequences } from "../runtime/sequences.ts";
import { StopStrings } from "../tokenizer/stop-strings.ts";
import type { TextStream, Tokenizer } from "../tokenizer/tokenizer.ts";
import { grammarFor, type ResponseFormat } from "./response-format.ts";
import { type TokenLogprobs, tokenLogprobs } from "./token-logprobs.ts";

/** A new token, as soon as it is known. */
export interface GeneratedToken {
  /** Token id. */
  readonly token: number;
  /** Text that became printable with this token: whole characters only. Null without a tokenizer. */
  readonly text: string | null;
  /** Which prompt of a batch it belongs to, or which sequence of a session; 0 for a single one. */
  readonly sequence: number;
  /** Its log probability and the most likely tokens in its place; absent unless asked for. */
  readonly logprobs?: TokenLogprobs;
}

/** Times of a call, on the host's clock. */
export interface Timings {
  /** Time to compile pipelines and make buffers for this call. */
  readonly compile_ms: number;
  /** From the first submit to the first token on the host. */
  readonly prefill_ms: number;
  /** From the first token to the last. */
  readonly decode_ms: number;
  /** Computed prompt tokens per second. */
  readonly prefill_tokens_per_s: number;
  /** Tokens after the first, over decode_ms; 0 when there was only one. */
  readonly decode_tokens_per_s: number;
  /** From the call to the first token: compile and prefill. */
  readonly time_to_first_token_ms: number;
}

/** What a call generated for one prompt and sample. */
export interface GenerateResult {
  /** The prompt's ids, after truncation. */
  readonly prompt_tokens: readonly number[];
  /** How many of them the session held from earlier calls and did not compute again. */
  readonly reused_tokens: number;
  /** New ids, including the one that stopped generation. */
  readonly tokens: readonly number[];
  /** Their text, without stop id or stop text; null without a tokenizer. */
  readonly text: string | null;
  /** One per token; absent unless asked for. */
  readonly logprobs?: readonly TokenLogprobs[];
  /** The reason why it ended. */
  readonly finish: FinishReason;
  /** Stages that were changed while it ran, each with the first of `tokens` that it acted on. */
  readonly changes: readonly StageEvent[];
  /** The seed that was used; null if nothing was drawn. */
  readonly seed: number | null;
  /** Times of the whole call, all sequences together. */
  readonly timings: Timings;
}

/** A change of a stage, and the index of the first new token that was computed under it. */
export interface StageEvent extends StageNotice {
  /** Index into `tokens` of the first new token that was computed under the change. */
  readonly first_token: number;
}

/** One running continuation: its tokens, and its printable text so far. */
export class Output {
  readonly tokens: number[] = [];
  readonly changes: StageEvent[] = [];
  readonly logprobs: TokenLogprobs[] = [];
  finish: FinishReason = "length";
  text: string | null;
  readonly #tokenizer: Tokenizer | null;
  readonly #stream: TextStream | undefined;
  /** Tokens without visible text, which stop strings may still name. */
  readonly #specials: ReadonlyMap<number, string>;
  readonly #matcher: StopStrings | undefined;
  readonly #stopTokens: ReadonlySet<number>;
  stoppedByText = false;

  constructor(
    tokenizer: Tokenizer | null,
    prompt: readonly number[],
    stop: readonly string[],
    stopTokens: ReadonlySet<number>,
  ) {
    this.#tokenizer = tokenizer;
    this.#stream = tokenizer?.stream({ context: prompt });
    this.#specials = tokenizer?.specialTokens ?? new Map();
    this.#matcher = this.#stream && new StopStrings(stop, this.#specials.values());
    this.#stopTokens = stopTokens;
    this.text = tokenizer ? "" : null;
  }

  /** Takes a token; returns the text that became printable. The last token releases all text held back. */
  push({ token, finish, changes, logprobs }: DecodedToken): string | null {
    if (logprobs) this.logprobs.push(tokenLogprobs(this.#tokenizer, token, logprobs));
    for (const change of changes) this.changes.push({ ...change, first_token: this.tokens.length });
    this.tokens.push(token);
    if (finish) this.finish = finish;
    if (!this.#stream || !this.#matcher) return null;
    let text = this.#stopTokens.has(token) ? "" : this.#match(this.#matcher, this.#stream.push(token));
    if (!this.stoppedByText) text += this.#noted(this.#matcher.pushHidden(this.#specials.get(token) ?? ""));
    if (finish && !this.stoppedByText) text += this.#match(this.#matcher, this.#stream.end());
    if (finish && !this.stoppedByText) text += this.#matcher.end();
    this.text += text;
    return text;
  }

  #match(matcher: StopStrings, piece: string): string {
    return this.#noted(matcher.push(piece));
  }

  /** Handles text from the matcher, which may have found a stop string. */
  #noted(text: string): string {
    if (this.#matcher?.matched != null) {
      this.stoppedByText = true;
      this.finish = "stop";
    }
    return text;
  }
}

/** A checked request. */
export interface GenerationRequest {
  /** Prompts and the sequences that they continue. */
  readonly prompts: readonly Omit<Prompt, "reused">[];
  readonly tokenizer: Tokenizer | null;
  readonly tokenizerError?: SluiceError | null | undefined;
  readonly responseFormat?: ResponseFormat | undefined;
  readonly sampling: SettledSampling;
  readonly maxNewTokens: number;
  readonly promptLength: number | undefined;
  readonly stop: readonly string[];
  readonly stopTokens: ReadonlySet<number>;
  readonly signal?: AbortSignal | undefined;
}

/** Tokens as they come, and at the end a summary per prompt and sample. */
export type TokenStream = AsyncGenerator<GeneratedToken, readonly GenerateResult[]>;

/** The right to run sequences, until it is released. */
export interface Lease {
  readonly sequences: Sequences;
  /** Throws if the sequences may no longer be used. */
  check(): void;
  release(): void;
}

/**
 * A running generation: iterate it for tokens as they come, then call `result()`; or call `result()` at once.
 * It runs once, and starts at the first of these calls.
 */
export class Generation implements AsyncIterable<GeneratedToken> {
  readonly #run: () => TokenStream;
  #isStarted = false;
  readonly #results: Promise<readonly GenerateResult[]>;
  #end: { resolve(results: readonly GenerateResult[]): void; reject(error: unknown): void } | undefined;

  /** @param run called once, when the generation starts */
  constructor(run: () => TokenStream) {
    this.#run = run;
    this.#results = new Promise((resolve, reject) => {
      this.#end = { resolve, reject };
    });
    // A caller that iterates gets the error there, and need not await results too.
    this.#results.catch(() => undefined);
  }

  /** Yields new tokens as they come. A generation is iterated once. @throws SluiceError the error that ended it early */
  async *[Symbol.asyncIterator](): AsyncIterator<GeneratedToken> {
    if (this.#isStarted)
      throw new SluiceError("usage", "This generation has already been started; call generate again for another");
    this.#isStarted = true;
    const run = this.#run();
    try {
      for (let next = await run.next(); ; next = await run.next()) {
        if (next.done) {
          this.#end?.resolve(next.value);
          return;
        }
        yield next.value;
      }
    } catch (error) {
      this.#end?.reject(error);
      throw error;
    } finally {
      await run.return([]);
      // Has an effect only if the caller stopped iterating.
      this.#end?.reject(
        new SluiceError("usage", "This generation was stopped before its last token, so it has no result", {
          hint: "Iterate to the end, or call result() instead; maxNewTokens and stop end it earlier.",
        }),
      );
    }
  }

  /**
   * The summary of the first prompt, once generation has ended.
   * @throws SluiceError the error that ended it early; `usage` if the caller stopped iterating
   */
  async result(): Promise<GenerateResult> {
    return (await this.results())[0] as GenerateResult;
  }

  /** One summary per prompt and sample, in order, once generation has ended. @throws SluiceError as {@link result} */
  async results(): Promise<readonly GenerateResult[]> {
    if (!this.#isStarted) {
      for await (const _ of this) {
        // Only the summary is needed.
      }
    }
    return this.#results;
  }
}

/** Runs a generation to its end. @param onToken called with each token as it comes */
export async function tellTokens(
  generation: Generation,
  onToken: (token: GeneratedToken) => void,
): Promise<readonly GenerateResult[]> {
  for await (const token of generation) onToken(token);
  return generation.results();
}

/** What runs a request on sequences that it has for itself. @param open called once */
export async function* generateAlone(request: GenerationRequest, open: () => Promise<Lease>): TokenStream {
  const { tokenizer, sampling, stop, stopTokens, signal } = request;
  const called = performance.now();
  const { sequences, check, release } = await open();
  try {
    sequences.check(request.prompts);
    const prompts = request.prompts.map((prompt): Prompt => {
      return { ...prompt, reused: sequences.reuse(prompt.sequence, prompt.tokens, request.promptLength) };
    });
    // Outdated cache entries are computed again first.
    const counted = prompts.map((prompt) =>
      sequences.isOutdated(prompt.sequence) ? { ...prompt, reused: 0 } : prompt,
    );
    const outputs = new Map(
      prompts.map(({ sequence, tokens }) => [sequence, new Output(tokenizer, tokens, stop, stopTokens)]),
    );
    const grammar = await grammarFor(request.responseFormat, { ...request, vocabSize: sequences.vocabSize });
    const options: DecodeOptions = { ...sampling, grammar, maxNewTokens: request.maxNewTokens, stopTokens, signal };
    await prepareDecode(sequences, prompts, options);
    const started = performance.now();
    let firstToken: number | undefined;
    const stopped = new Set<number>();
    let count = 0;
    for await (const decoded of decode(sequences, prompts, options, stopped)) {
      const { sequence, token } = decoded;
      check();
      firstToken ??= performance.now();
      const output = outputs.get(sequence) as Output;
      const text = output.push(decoded);
      if (output.stoppedByText) stopped.add(sequence);
      count++;
      sequences.onProgress({ phase: "decode", done: count, total: prompts.length * request.maxNewTokens });
      const logprobs = output.logprobs.at(-1);
      yield { token, text, sequence, ...(logprobs && { logprobs }) };
    }
    const ended = performance.now();
    const timings = timingsOf(called, started, firstToken ?? ended, ended, counted, [...outputs.values()]);
    return counted.map(({ sequence, tokens, reused, seed = sampling.seed }) => {
      const output = outputs.get(sequence) as Output;
      return {
        prompt_tokens: tokens,
        reused_tokens: reused,
        tokens: output.tokens,
        text: output.text,
        ...(sampling.topLogprobs !== undefined && { logprobs: output.logprobs }),
        finish: output.finish,
        changes: output.changes,
        seed: sampling.temperature > 0 ? seed : null,
        timings,
      };
    });
  } finally {
    release();
  }
}

export function timingsOf(
  called: number,
  started: number,
  firstToken: number,
  ended: number,
  prompts: readonly Pick<Prompt, "tokens" | "reused">[],
  outputs: readonly Pick<Output, "tokens">[],
): Timings {
  const perSecond = (count: number, ms: number): number => (ms > 0 ? (count * 1000) / ms : 0);
  const prefilled = prompts.reduce((sum, { tokens, reused }) => sum + tokens.length - reused, 0);
  const decoded = outputs.reduce((sum, { tokens }) => sum + Math.max(0, tokens.length - 1), 0);
  return {
    compile_ms: started - called,
    prefill_ms: firstToken - started,
    decode_ms: ended - firstToken,
    prefill_tokens_per_s: perSecond(prefilled, firstToken - started),
    decode_tokens_per_s: perSecond(decoded, ended - firstToken),
    time_to_first_token_ms: firstToken - called,
  };
}
