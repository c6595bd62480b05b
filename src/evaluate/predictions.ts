/** How a plain and an edited model predict the same texts, token by token. */
import { logitsOf } from "../compile/plan.ts";
import { SluiceError } from "../errors.ts";
import type { Sequences } from "../runtime/sequences.ts";

/** Of one window: sums over the predictions that count. */
export interface WindowSums {
  /** Predicted tokens. */
  readonly tokens: number;
  /** Negative log-likelihoods, in nats. */
  readonly plain: number;
  readonly edited: number;
  /** KL(plain ‖ edited) of the distributions, in nats. */
  readonly divergence: number;
  /** Predictions whose likeliest token is the same. */
  readonly agreeing: number;
}

/** Tokens that are run together, and how many predictions count, the last ones. */
export interface Window {
  readonly tokens: readonly number[];
  readonly counted: number;
}

/** Windows that a step packs together at most: enough to fill it with short texts. */
export const MOST_WINDOWS = 8;

/**
 * Windows of at most `context` tokens that together predict every token of a text but its first once, each token with at
 * least half a context before it where the text has that many.
 */
export function windowsOf(tokens: readonly number[], context: number): readonly Window[] {
  const stride = Math.max(1, context >> 1);
  const windows: Window[] = [];
  let predicted = 1;
  while (predicted < tokens.length) {
    const end = Math.min(windows.length === 0 ? context : predicted + stride, tokens.length);
    windows.push({ tokens: tokens.slice(Math.max(0, end - context), end), counted: end - predicted });
    predicted = end;
  }
  return windows;
}

/**
 * Runs windows through pairs of sequences, 2i plain and 2i + 1 edited, and compares their predictions while they come: no
 * more than a step's logits are on the host.
 * @param sequences empty; strengths of the even ones are 0
 * @throws SluiceError `non_finite` naming the side, `bad_tokens`, `aborted`
 */
export async function comparePredictions(
  sequences: Sequences,
  windows: readonly Window[],
  signal: AbortSignal | undefined,
  onProgress: (done: number) => void,
): Promise<readonly WindowSums[]> {
  const { chunkRows, chunkOuts } = sequences.plan;
  const rows = Math.max(1, Math.floor(Math.min(chunkRows, chunkOuts) / 2));
  const results: WindowSums[] = [];
  for (const group of groupsOf(windows, sequences.plan.sequences >> 1, rows)) {
    group.forEach(({ tokens }, i) => {
      for (const sequence of [2 * i, 2 * i + 1]) sequences.beginPrompt(sequence, tokens.length);
    });
    const sums = group.map((): Mutable<WindowSums> => ({ tokens: 0, plain: 0, edited: 0, divergence: 0, agreeing: 0 }));
    // A group of several fits into one step; a longer window stands alone and takes several.
    const longest = Math.max(...group.map(({ tokens }) => tokens.length));
    for (let from = 0; from < longest; from += rows) await compareStep(sequences, group, sums, from, rows, signal);
    group.forEach((_, i) => {
      for (const sequence of [2 * i, 2 * i + 1]) sequences.slots.truncate(sequence, 0);
    });
    results.push(...sums);
    onProgress(results.reduce((total, { tokens }) => total + tokens, 0));
  }
  return results;
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** Feeds each window's tokens [from, from + rows) to both of its sequences. */
async function compareStep(
  sequences: Sequences,
  group: readonly Window[],
  sums: readonly Mutable<WindowSums>[],
  from: number,
  rows: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { stride } = logitsOf(sequences.plan);
  const feeds = group.flatMap(({ tokens }, i) => {
    const part = tokens.slice(from, from + rows);
    return [2 * i, 2 * i + 1].map((sequence) => ({ sequence, tokens: part, outs: "all" as const }));
  });
  /** Logits of plain sequences that wait for those of the edited ones. */
  const waiting = new Map<string, Float32Array>();
  const steps = sequences.feed(feeds, {
    head: "logits",
    tail: "none",
    signal,
    reads: (step) => [{ role: { role: "logits" }, offset: 0, byteLength: step.outs.length * stride * 4 }],
  });
  for await (const { step, bytes } of steps) {
    const logits = new Float32Array(bytes[0] as ArrayBuffer);
    step.outs.forEach(({ sequence, position }, out) => {
      const row = logits.subarray(out * stride, out * stride + sequences.vocabSize);
      const i = sequence >> 1;
      const key = `${i} ${position}`;
      if (sequence % 2 === 0) {
        waiting.set(key, row);
        return;
      }
      const plain = waiting.get(key) as Float32Array;
      waiting.delete(key);
      const { tokens, counted } = group[i] as Window;
      const next = tokens[position + 1];
      if (next === undefined || position + 1 < tokens.length - counted) return;
      add(sums[i] as Mutable<WindowSums>, plain, row, next, position);
    });
  }
}

function add(sums: Mutable<WindowSums>, p: Float32Array, q: Float32Array, next: number, position: number): void {
  const plain = normaliser(p);
  const edited = normaliser(q);
  for (const [which, { total }] of [["plain", plain] as const, ["edited", edited] as const]) {
    if (!Number.isFinite(total)) throw notFinite(which, position);
  }
  let divergence = 0;
  for (let i = 0; i < p.length; i++) {
    const logP = (p[i] as number) - plain.total;
    divergence += Math.exp(logP) * (logP - ((q[i] as number) - edited.total));
  }
  sums.tokens++;
  sums.plain += plain.total - (p[next] as number);
  sums.edited += edited.total - (q[next] as number);
  // Rounding can leave equal distributions a hair below 0.
  sums.divergence += Math.max(0, divergence);
  if (plain.top === edited.top) sums.agreeing++;
}

/** log Σ exp of logits, and the index of the largest, the first of equal ones. NaN where a logit is. */
function normaliser(logits: Float32Array): { readonly total: number; readonly top: number } {
  let top = 0;
  for (let i = 1; i < logits.length; i++) if ((logits[i] as number) > (logits[top] as number)) top = i;
  const largest = logits[top] as number;
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp((logits[i] as number) - largest);
  return { total: largest + Math.log(sum), top };
}

/** Neighbouring windows that fill a step without passing its rows; each at least one. */
function* groupsOf(windows: readonly Window[], most: number, rows: number): Generator<readonly Window[]> {
  let group: Window[] = [];
  let filled = 0;
  for (const window of windows) {
    if (group.length > 0 && (group.length === most || filled + window.tokens.length > rows)) {
      yield group;
      group = [];
      filled = 0;
    }
    group.push(window);
    filled += window.tokens.length;
  }
  if (group.length > 0) yield group;
}

function notFinite(which: "plain" | "edited", position: number): SluiceError {
  return new SluiceError("non_finite", `The ${which} model's logits at position ${position} of a text are not finite`, {
    hint:
      which === "plain"
        ? "The weights may be damaged, or too large for the arithmetic; try --plan reference."
        : "The interventions may be too strong; try smaller strengths.",
  });
}
