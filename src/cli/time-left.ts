/** How long a fit will go on, from the pace of what it has measured itself. */
export class TimeLeft {
  readonly #now: () => number;
  /** When the first batch was through: kernels were compiled for it. */
  #begun: { readonly at: number; readonly done: number } | undefined;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /**
   * `512 of 10000 sentences, about 40 s left`
   * @param kept of those done, sentences that an earlier run had measured: they tell nothing of the pace
   */
  after(done: number, total: number, kept = 0): string {
    const now = this.#now();
    const begun = this.#begun;
    if (!begun && done > kept) this.#begun = { at: now, done };
    const isKnown = begun !== undefined && done > begun.done && done < total;
    const seconds = isKnown ? ((now - begun.at) * (total - done)) / (done - begun.done) / 1000 : undefined;
    const left = seconds === undefined ? "" : `, about ${Math.ceil(seconds)} s left`;
    return `${Math.round(done)} of ${total} sentences${left}`;
  }
}
