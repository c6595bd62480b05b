/** One thing that goes wrong in a schedule. */
import type { Random } from "../fuzz/target.ts";
import type { Work } from "./works.ts";

/** What a step has. */
export interface Ground {
  readonly random: Random;
  /** What may be under way. */
  readonly works: readonly Work[];
  /** A sound device, on which pipelines compile once. */
  readonly device: GPUDevice;
  /** A device of the step's own, which it may destroy. */
  openDevice(): Promise<GPUDevice>;
  /** A folder of the step's own, which is removed after it. */
  readonly folder: string;
  /** A small disk; null if none can be mounted here. */
  readonly disk: SmallDisk | null;
}

/** A file system with little room. */
export interface SmallDisk {
  readonly folder: string;
  readonly bytes: number;
}

/** How a step ended: what was done, and its result. */
export interface Ended {
  /** For the table: `generate: aborted`. */
  readonly what: string;
  /** The code of a typed error, or `done`. */
  readonly outcome: string;
}

/** A kind of step. */
export interface Kind {
  readonly name: string;
  /** How many schedules of a round begin with it, and how often it is drawn for later steps, relative to the others. */
  readonly share: number;
  /** Whether it starts processes, which takes a second: no later step does. */
  readonly isSlow?: boolean;
  /** @throws Broken if something is not as it must be */
  take(ground: Ground): Promise<Ended>;
}

/** A promise that was not kept. */
export class Broken extends Error {}

/** One of a list. */
export function oneOf<T>(random: Random, list: readonly T[]): T {
  return list[Math.floor(random() * list.length)] as T;
}

/** A whole number from `least` to `most`. */
export function wholeOf(random: Random, least: number, most: number): number {
  return least + Math.floor(random() * (most - least + 1));
}
