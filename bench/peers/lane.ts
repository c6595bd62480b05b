/** What is compared: one engine with one model loaded, on one device. */

/** A model in all forms that peers read. */
export interface ModelFiles {
  /** Folder with config.json and model.safetensors; a path in Node, an address in a page. */
  readonly folder: string;
  readonly gguf: string;
  readonly onnx: string;
  /** With ONNX Runtime's own operator for attention. */
  readonly onnxFused: string;
  readonly context: number;
  readonly layers: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

export interface LaneOptions {
  /** Sluice: a part of an adapter's name or a driver's file. */
  readonly adapter?: string;
  /** ONNX Runtime's execution provider; llama.cpp: `vulkan` or `cpu`. */
  readonly backend?: string;
  /** Threads of peers that compute on the CPU. */
  readonly threads: number;
}

export interface Run {
  /** From the call to the first token, without compiling. */
  readonly prefill_ms: number;
  /** Of one token after the first. */
  readonly decode_ms: number;
  readonly tokens: readonly number[];
}

export interface Lane {
  /** The device that the engine reports; null if it reports none. */
  readonly device: string | null;
  /** Greedy, from an empty cache, never stopping before `newTokens`. */
  generate(prompt: readonly number[], newTokens: number): Promise<Run>;
  /**
   * Logarithms of the probabilities of the token after `tokens`; null if the engine does not give them. A peer takes the
   * last of `tokens` as a step on the cache that the others leave, so that prefill, cache and decode all are compared.
   */
  logProbabilities(tokens: readonly number[]): Promise<Float32Array | null>;
}

/** Times a stream of tokens. */
export async function timed(newTokens: number, tokens: AsyncIterable<number>): Promise<Run> {
  const started = performance.now();
  const got: number[] = [];
  const times: number[] = [];
  for await (const token of tokens) {
    got.push(token);
    times.push(performance.now());
    if (got.length === newTokens) break;
  }
  return { ...phases(started, times), tokens: got };
}

/** Prefill and decode from when each token came, all in milliseconds of one clock. */
export function phases(started: number, times: readonly number[]): Omit<Run, "tokens"> {
  const [first = Number.NaN] = times;
  const decode_ms = ((times.at(-1) ?? Number.NaN) - first) / Math.max(1, times.length - 1);
  return { prefill_ms: first - started, decode_ms };
}

/** logits − log Σ exp(logits) */
export function logSoftmax(logits: ArrayLike<number>): Float32Array {
  let max = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < logits.length; i++) max = Math.max(max, logits[i] as number);
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp((logits[i] as number) - max);
  const shift = max + Math.log(sum);
  return Float32Array.from(logits, (x) => x - shift);
}
