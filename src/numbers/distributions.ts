/** Distributions over a vocabulary, from logits, in float64. */

/** log Σ exp of logits: a logit minus this is its log-probability. NaN if a logit is NaN. */
export function logSumExp(logits: ArrayLike<number>): number {
  let top = -Infinity;
  for (let i = 0; i < logits.length; i++) top = Math.max(top, logits[i] as number);
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp((logits[i] as number) - top);
  return top + Math.log(sum);
}

/**
 * KL(p ‖ q) in nats of the distributions of two rows of logits.
 * @param totalP log Σ exp of p; 0 for log-probabilities
 * @param totalQ that of q
 */
export function divergence(
  p: ArrayLike<number>,
  q: ArrayLike<number>,
  totalP = logSumExp(p),
  totalQ = logSumExp(q),
): number {
  let sum = 0;
  for (let i = 0; i < p.length; i++) {
    const logP = (p[i] as number) - totalP;
    sum += Math.exp(logP) * (logP - ((q[i] as number) - totalQ));
  }
  // Rounding can leave equal distributions a hair below 0.
  return Math.max(0, sum);
}
