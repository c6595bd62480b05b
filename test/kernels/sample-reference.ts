/** Sampling in plain loops and float64: what shaders/sample/sample.wgsl must choose. */
import type { SamplingSetting } from "../../src/kernels/sample/sample.ts";

export const OFF: SamplingSetting = { temperature: 1, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, seed: 0 };

/** pcg4d of Jarzynski and Olano (2020), in place. */
export function pcg4d(v: Uint32Array): void {
  const mix = (): void => {
    for (const [to, a, b] of [
      [0, 1, 3],
      [1, 2, 0],
      [2, 0, 1],
      [3, 1, 2],
    ] as const) {
      v[to] = (v[to] as number) + Math.imul(v[a] as number, v[b] as number);
    }
  };
  for (let i = 0; i < 4; i++) v[i] = Math.imul(v[i] as number, 1664525) + 1013904223;
  mix();
  for (let i = 0; i < 4; i++) v[i] = (v[i] as number) ^ ((v[i] as number) >>> 16);
  mix();
}

/** Gumbel noise of one token. */
export function gumbel(seed: number, position: number, id: number): number {
  const v = Uint32Array.of(seed % 2 ** 32, Math.floor(seed / 2 ** 32), position, id >> 2);
  pcg4d(v);
  return -Math.log(-Math.log1p(-((v[id & 3] as number) + 0.5) / 2 ** 32));
}

/** Logits after the repetition penalty, rounded to float32 as the shader holds them. */
export function penalise(logits: ArrayLike<number>, penalty: number, seen: ReadonlySet<number>): number[] {
  const p = Math.fround(penalty);
  return Array.from(logits, (l, id) => (seen.has(id) ? Math.fround(l < 0 ? l * p : l / p) : l));
}

/**
 * The tokens that may be drawn, with their probabilities: temperature above 0, top-k, top-p and min-p, in this order, on
 * penalised logits. `tilt` moves the thresholds of top-p and min-p by that share, to see whether rounding could.
 */
export function keptSet(logits: readonly number[], setting: SamplingSetting, tilt = 0): Map<number, number> {
  const order = logits.map((_, id) => id).sort((a, b) => (logits[b] as number) - (logits[a] as number) || a - b);
  const logit = (i: number): number => logits[order[i] as number] as number;
  let count = order.length;
  if (setting.topK > 0 && setting.topK < count) {
    count = setting.topK;
    while (count < order.length && logit(count) === logit(count - 1)) count++;
  }
  const weights = order
    .slice(0, count)
    .map((_, i) => Math.exp((logit(i) - logit(0)) / Math.fround(setting.temperature)));
  if (setting.topP < 1) {
    const wanted = Math.fround(setting.topP) * (1 + tilt) * weights.reduce((a, b) => a + b, 0);
    let mass = 0; // of the tokens before i
    for (let i = 0; i < count; i++) {
      if (i > 0 && logit(i) !== logit(i - 1) && mass >= wanted) count = i;
      mass += weights[i] as number;
    }
  }
  const least = Math.min(setting.minP * (1 + tilt), 1);
  const kept = weights.slice(0, count).filter((weight) => weight >= least);
  const total = kept.reduce((a, b) => a + b, 0);
  return new Map(kept.map((weight, i) => [order[i] as number, weight / total]));
}

/** The token, or null where float32 may rightly choose another. */
export function sample(
  logits: ArrayLike<number>,
  setting: SamplingSetting,
  seen: ReadonlySet<number>,
  position: number,
): number | null {
  const penalised = penalise(logits, setting.repetitionPenalty, seen);
  if (setting.temperature === 0) return penalised.indexOf(penalised.reduce((a, b) => Math.max(a, b)));
  const ids = [-1e-5, 1e-5].map((tilt) => {
    const scores = [...keptSet(penalised, setting, tilt)].map(([id, p]) => ({
      id,
      score: Math.log(p) + gumbel(setting.seed, position, id),
    }));
    scores.sort((a, b) => b.score - a.score || a.id - b.id);
    const [first, second] = scores;
    if (!first) throw new Error("nothing was kept");
    return second && first.score - second.score < 1e-4 ? null : first.id;
  });
  return ids[0] === ids[1] ? (ids[0] as number | null) : null;
}
