/** Results of a command come from one kind of device and one version, or it fails: others differ in their last bits. */
import { SluiceError } from "../errors.ts";
import { showText } from "../show.ts";
import type { Computer } from "./messages.ts";

export class SameKind {
  #first: Computer | undefined;

  /**
   * @returns whether it is the first
   * @throws SluiceError `queue` for one that differs from the first, naming both
   */
  accept(by: Computer): boolean {
    if (this.#first === undefined) {
      this.#first = by;
      return true;
    }
    const { kind, sluice } = this.#first;
    if (by.kind === kind && by.sluice === sluice) return false;
    const [a, b] = [this.#first, by].map(nameOf);
    throw new SluiceError("queue", `The workers ${a} and ${b} compute different bits, which must not be mixed`, {
      hint: "Run a job's workers on one kind of device, with one version: sluice worker --adapter NAME chooses it.",
    });
  }
}

/** `WORKER (DEVICE, Sluice VERSION)` */
export function nameOf({ worker, device, sluice }: Computer): string {
  return `${showText(worker)} (${showText(device)}, Sluice ${showText(sluice)})`;
}
