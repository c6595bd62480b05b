/** How long a fit will go on, from what it has done so far. */

/**
 * `512 of 10000 sentences, about 40 s left`
 * @param started when it began to measure, by `performance.now()`
 * @param kept of those done, sentences that an earlier run had measured: they tell nothing of the pace
 */
export function timeLeft(done: number, total: number, started: number, kept = 0): string {
  const spent = performance.now() - started;
  const measured = done - kept;
  const left =
    measured > 0 && done < total ? `, about ${Math.ceil((spent * (total - done)) / measured / 1000)} s left` : "";
  return `${Math.round(done)} of ${total} sentences${left}`;
}
