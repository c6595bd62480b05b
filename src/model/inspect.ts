/** Results of one forward pass: logits and captured sites of a token sequence. */
import { type CaptureRegion, logitsOf } from "../compile/plan.ts";
import { overflowOf } from "../runtime/not-finite.ts";
import type { Sequences } from "../runtime/sequences.ts";
import { checkPromptLength } from "./request.ts";

/** Float32 values, row-major. */
export interface Matrix {
  /** Float32 values. */
  readonly data: Float32Array<ArrayBuffer>;
  /** Sizes of the dimensions, outermost first. */
  readonly shape: readonly number[];
}

interface Options {
  readonly last?: boolean;
  /** P, for stages that act on the prompt or after it; default: all tokens. */
  readonly promptLength?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Logits `[T, vocab_size]`, or `[1, vocab_size]` for the last position alone, of `tokens`, run in empty `sequences`.
 * @throws SluiceError `non_finite` naming the site at which values left float32's range
 */
export async function computeLogits(
  sequences: Sequences,
  tokens: readonly number[],
  { last = false, promptLength, signal }: Options,
): Promise<Matrix> {
  sequences.beginPrompt(0, checkPromptLength(promptLength, [{ tokens }]) ?? tokens.length);
  const { stride } = logitsOf(sequences.plan);
  const { vocabSize } = sequences;
  const count = last ? 1 : tokens.length;
  const data = new Float32Array(count * vocabSize);
  const feed = { sequence: 0, tokens, outs: last ? "last" : "all" } as const;
  const steps = sequences.feed([feed], {
    head: "logits",
    tail: "none",
    signal,
    isReported: true,
    reads: (step) =>
      step.outs.length === 0
        ? []
        : [{ role: { role: "logits" }, offset: 0, byteLength: step.outs.length * stride * 4 }],
  });
  for await (const { step, bytes } of steps) {
    if (!bytes[0]) continue;
    const padded = new Float32Array(bytes[0]);
    step.outs.forEach(({ position }, i) => {
      data.set(padded.subarray(i * stride, i * stride + vocabSize), (last ? 0 : position) * vocabSize);
    });
  }
  const error = await overflowOf(sequences, 0);
  if (error) throw error;
  return { data, shape: [count, vocabSize] };
}

/** Every captured site of the session's plan, of `tokens`, run in empty `sequences`. */
export async function captureSites(
  sequences: Sequences,
  tokens: readonly number[],
  { promptLength, signal }: Options,
): Promise<ReadonlyMap<string, Matrix>> {
  sequences.beginPrompt(0, checkPromptLength(promptLength, [{ tokens }]) ?? tokens.length);
  const { captures, captureBytes } = sequences.plan;
  const total = tokens.length;
  const results = new Map<string, Matrix>(
    captures.map(({ site, width, heads }) => {
      const shape = heads === undefined ? [total, width] : [heads, total, total];
      return [site, { data: new Float32Array(shape.reduce((a, b) => a * b, 1)), shape }];
    }),
  );
  const steps = sequences.feed([{ sequence: 0, tokens, outs: "all" }], {
    head: "norm",
    tail: "none",
    signal,
    isReported: true,
    reads: () => [{ role: { role: "capture" }, offset: 0, byteLength: captureBytes }],
  });
  for await (const { step, bytes } of steps) {
    const floats = new Float32Array(bytes[0] as ArrayBuffer);
    const first = step.rows[0]?.position ?? 0;
    for (const region of captures) {
      const { data } = results.get(region.site) as Matrix;
      if (region.heads === undefined) copyRows(region, floats, data, first, step.rows.length);
      else copyPattern(region, region.heads, floats, data, first, step.rows.length, total);
    }
  }
  return results;
}

function copyRows(region: CaptureRegion, from: Float32Array, to: Float32Array, first: number, rows: number): void {
  const { offset, stride, width, order } = region;
  for (let row = 0; row < rows; row++) {
    const begin = offset + row * stride;
    const at = (first + row) * width;
    if (!order) to.set(from.subarray(begin, begin + width), at);
    else order.forEach((column, j) => (to[at + column] = from[begin + j] as number));
  }
}

/** `[heads, rows, stride]` of this step into `[heads, T, T]`; keys that a row cannot see stay 0. */
function copyPattern(
  region: CaptureRegion,
  heads: number,
  from: Float32Array,
  to: Float32Array,
  first: number,
  rows: number,
  total: number,
): void {
  for (let head = 0; head < heads; head++) {
    for (let row = 0; row < rows; row++) {
      const begin = region.offset + (head * rows + row) * region.stride;
      to.set(from.subarray(begin, begin + first + row + 1), (head * total + first + row) * total);
    }
  }
}
