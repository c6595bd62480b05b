/** Generation for callers: text or ids in, a stream of tokens with printable text out, and a summary at the end. */
import { SluiceError } from "../errors.ts";
import { StopStrings } from "../tokenizer/stop-strings.ts";
import type { TextStream, Tokenizer } from "../tokenizer/tokenizer.ts";
import { type DecodeOptions, decode, type FinishReason, prepareDecode } from "./decode.ts";
import type { SamplingOptions } from "./sampling.ts";
import type { Session } from "./session.ts";

export interface GenerateOptions extends Partial<SamplingOptions> {
  /** Default 128. */
  readonly maxNewTokens?: number;
  /** Texts that end generation; they are cut from the result. */
  readonly stop?: readonly string[];
  /** Ids that end generation, besides the model's own. */
  readonly stopTokens?: readonly number[];
  /** Positions the cache holds. Default: what prompt and new tokens need, as far as the model goes. */
  readonly context?: number;
  readonly signal?: AbortSignal;
}

export interface GeneratedToken {
  readonly token: number;
  /** What became printable with this token: whole characters only. Null without a tokenizer. */
  readonly text: string | null;
  /** Which prompt of a batch it belongs to; 0 for a single one. */
  readonly sequence: number;
}

export interface Timings {
  /** Pipelines compiled and buffers made for this call. */
  readonly compile_ms: number;
  /** From the first submit to the first token on the host. */
  readonly prefill_ms: number;
  readonly decode_ms: number;
  readonly prefill_tokens_per_s: number;
  /** Tokens after the first, over decode_ms; 0 when there was only one. */
  readonly decode_tokens_per_s: number;
  /** From the call to the first token: compile and prefill. */
  readonly time_to_first_token_ms: number;
}

export interface GenerateResult {
  readonly prompt_tokens: readonly number[];
  /** New ids, the one that stopped generation included. */
  readonly tokens: readonly number[];
  /** Their text, without stop id or stop text; null without a tokenizer. */
  readonly text: string | null;
  readonly finish: FinishReason;
  /** The seed that was used; null where nothing was drawn. */
  readonly seed: number | null;
  readonly timings: Timings;
}

/** One prompt of a batch on its way: its tokens, and its text as far as it is printable. */
class Output {
  readonly tokens: number[] = [];
  finish: FinishReason = "length";
  text: string | null;
  readonly #stream: TextStream | undefined;
  readonly #matcher: StopStrings | undefined;
  readonly #stopTokens: ReadonlySet<number>;
  stoppedByText = false;

  constructor(
    tokenizer: Tokenizer | null,
    prompt: readonly number[],
    stop: readonly string[],
    stopTokens: ReadonlySet<number>,
  ) {
    this.#stream = tokenizer?.stream({ context: prompt });
    this.#matcher = this.#stream && new StopStrings(stop);
    this.#stopTokens = stopTokens;
    this.text = tokenizer ? "" : null;
  }

  /** Takes a token; returns the text that became printable, with the last token all that was held back. */
  push(token: number, finish: FinishReason | undefined): string | null {
    this.tokens.push(token);
    if (finish) this.finish = finish;
    if (!this.#stream || !this.#matcher) return null;
    let text = this.#stopTokens.has(token) ? "" : this.#match(this.#matcher, this.#stream.push(token));
    if (finish && !this.stoppedByText) text += this.#match(this.#matcher, this.#stream.end());
    if (finish && !this.stoppedByText) text += this.#matcher.end();
    this.text += text;
    return text;
  }

  #match(matcher: StopStrings, piece: string): string {
    const text = matcher.push(piece);
    if (matcher.matched !== null) {
      this.stoppedByText = true;
      this.finish = "stop";
    }
    return text;
  }
}

/** What `Generation` needs from its model. */
export interface GenerationRequest {
  readonly prompts: readonly (readonly number[])[];
  readonly tokenizer: Tokenizer | null;
  readonly sampling: SamplingOptions;
  readonly maxNewTokens: number;
  readonly stop: readonly string[];
  readonly stopTokens: ReadonlySet<number>;
  readonly signal?: AbortSignal | undefined;
  /** Makes the session; compiles what is missing. */
  openSession(): Promise<Session>;
}

/**
 * A generation under way: iterate it for tokens as they come, then ask `result()`; or ask at once and wait.
 * It runs once, and starts when first asked.
 */
export class Generation implements AsyncIterable<GeneratedToken> {
  readonly #request: GenerationRequest;
  #run: AsyncGenerator<GeneratedToken, readonly GenerateResult[]> | undefined;
  #results: Promise<readonly GenerateResult[]> | undefined;
  #settle: { resolve(results: readonly GenerateResult[]): void; reject(error: unknown): void } | undefined;

  constructor(request: GenerationRequest) {
    this.#request = request;
  }

  async *[Symbol.asyncIterator](): AsyncIterator<GeneratedToken> {
    if (this.#run)
      throw new SluiceError("usage", "This generation has already been started; call generate again for another");
    this.#run = generateAll(this.#request);
    let results: readonly GenerateResult[] | undefined;
    try {
      for (;;) {
        const next = await this.#run.next();
        if (next.done) {
          results = next.value;
          this.#settle?.resolve(results);
          this.#results ??= Promise.resolve(results);
          return;
        }
        yield next.value;
      }
    } catch (error) {
      this.#settle?.reject(error);
      throw error;
    } finally {
      if (!results) await this.#run.return([]);
    }
  }

  /** The summary of the first prompt, once generation has ended. */
  async result(): Promise<GenerateResult> {
    return (await this.results())[0] as GenerateResult;
  }

  /** One summary a prompt, in order, once generation has ended. */
  async results(): Promise<readonly GenerateResult[]> {
    if (!this.#run) {
      for await (const _ of this) {
        // Only the summary is wanted.
      }
    }
    this.#results ??= new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    return this.#results;
  }
}

async function* generateAll(request: GenerationRequest): AsyncGenerator<GeneratedToken, readonly GenerateResult[]> {
  const { prompts, tokenizer, sampling, stop, stopTokens } = request;
  const called = performance.now();
  const session = await request.openSession();
  try {
    const outputs = prompts.map((prompt) => new Output(tokenizer, prompt, stop, stopTokens));
    const options: DecodeOptions = {
      ...sampling,
      maxNewTokens: request.maxNewTokens,
      stopTokens,
      signal: request.signal,
    };
    await prepareDecode(session, prompts, options);
    const started = performance.now();
    let firstToken: number | undefined;
    const stopped = new Set<number>();
    for await (const { sequence, token, finish } of decode(session, prompts, options, stopped)) {
      firstToken ??= performance.now();
      const output = outputs[sequence] as Output;
      const text = output.push(token, finish);
      if (output.stoppedByText) stopped.add(sequence);
      yield { token, text, sequence };
    }
    const ended = performance.now();
    const timings = timingsOf(called, started, firstToken ?? ended, ended, prompts, outputs);
    return outputs.map(({ tokens, text, finish }, i) => ({
      prompt_tokens: prompts[i] as readonly number[],
      tokens,
      text,
      finish,
      seed: sampling.temperature > 0 ? sampling.seed : null,
      timings,
    }));
  } finally {
    session.dispose();
  }
}

function timingsOf(
  called: number,
  started: number,
  firstToken: number,
  ended: number,
  prompts: readonly (readonly number[])[],
  outputs: readonly Output[],
): Timings {
  const perSecond = (count: number, ms: number): number => (ms > 0 ? (count * 1000) / ms : 0);
  const prefilled = prompts.reduce((sum, prompt) => sum + prompt.length, 0);
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
