/** Results of a job come from one kind of device and one version, or the job fails: others differ in their last bits. */
import { SluiceError } from "../errors.ts";
import type { Computer } from "./messages.ts";

export class SameKind {
  #first: Computer | undefined;

  /** @throws SluiceError `queue` for one that differs from the first, naming both */
  accept(by: Computer): void {
    this.#first ??= by;
    const { kind, sluice } = this.#first;
    if (by.kind === kind && by.sluice === sluice) return;
    const [a, b] = [this.#first, by].map((each) => `${each.worker} (${each.device}, Sluice ${each.sluice})`);
    throw new SluiceError("queue", `The workers ${a} and ${b} compute different bits, which must not be mixed`, {
      hint: "Run a job's workers on one kind of device, with one version: sluice worker --adapter NAME chooses it.",
    });
  }
}
