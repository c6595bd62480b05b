/** What submitters and workers say to each other, and under which keys. */
import type { DeviceProfile } from "../gpu/profile.ts";
import { engineVersion } from "../kernels/engine-version.gen.ts";
import type { LoraChoice, PlanName } from "../model/options.ts";

/** Which model a job is about. */
export interface JobModel {
  /** An absolute path, an address, or a name of the hub. */
  readonly source: string;
  /** The digest of its weights; absent for a model at an address, or with adapters. */
  readonly weights?: string | undefined;
  readonly plan?: PlanName | undefined;
  readonly quantize?: "q8" | "q4" | undefined;
  readonly lora?: readonly LoraChoice[] | undefined;
}

/** A shard in the queue; what it works on lies under keys of its job. */
export interface ShardMessage {
  readonly job: string;
  readonly index: number;
  readonly label: string;
  readonly kind: string;
  /** The digest of the interventions in force; null: none. */
  readonly edit: string | null;
}

/** Whoever computed a result. Results of different kinds differ in their last bits. */
export interface Computer {
  readonly worker: string;
  readonly sluice: string;
  /** The device, for people. */
  readonly device: string;
  /** All of the device that may show in results, as text. */
  readonly kind: string;
}

/** A shard's result. */
export interface ShardResult {
  readonly by: Computer;
  readonly output: unknown;
}

/** Keys begin with it. */
export const PREFIX = "sluice";

/** Of everything of BullMQ's. It would print what it thinks of the server; `connect` has looked at that. */
export const BULLMQ = { prefix: PREFIX, skipVersionCheck: true } as const;

/** Workers of another version have another queue, so that none takes what it would compute differently. */
export const QUEUE_NAME = `shards-${engineVersion}`;

/** How often a shard is tried. */
export const ATTEMPTS = 3;

/** Seconds that a job's keys outlive their submitter, and that a result waits for it. */
export const JOB_SECONDS = 300;
export const RESULT_SECONDS = 3600;

/** Names of a job's keys. */
export const keysOf = (job: string) => ({
  about: `${PREFIX}:${job}:about`,
  input: (index: number) => `${PREFIX}:${job}:input:${index}`,
  edit: (digest: string) => `${PREFIX}:${job}:edit:${digest}`,
  result: (index: number) => `${PREFIX}:${job}:result:${index}`,
});

/** What a device is, as far as results may depend on it. */
export function computerOf(worker: string, { name, backend, features, limits, ...names }: DeviceProfile): Computer {
  const device = backend === null ? name : `${name} (${backend})`;
  return { worker, sluice: engineVersion, device, kind: JSON.stringify([name, backend, features, limits, names]) };
}
