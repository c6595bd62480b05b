/** The requests to an executor, and what it lets others observe. */
import type { BufferRole, Dispatch, Tail } from "../compile/plan.ts";
import type { HostObserver } from "../execution/host-observer.ts";
import type { PassObserver } from "../execution/paced-run.ts";
import type { Cost, Kernel, Workload } from "../kernels/kernel.ts";
import type { StepRows } from "../kernels/step.ts";

/** How far past the blocks a step goes. */
export type Head = "none" | "norm" | "logits";

export interface Run {
  readonly steps: readonly StepRows[];
  readonly head: Head;
  readonly tail: Tail;
  /** What to read back once the last step is done. */
  readonly reads: readonly Read[];
  readonly signal?: AbortSignal | undefined;
  /** Watches every dispatch, each in its own pass; for profiling. */
  readonly observer?: DispatchObserver;
  /** Observes the host's work meanwhile; for profiling. */
  readonly host?: HostObserver;
}

/** Sees each dispatch before it is encoded, and may time its pass. */
export type DispatchObserver = PassObserver<DispatchWork>;

export interface Read {
  readonly role: BufferRole;
  /** Bytes; multiples of 4. */
  readonly offset: number;
  readonly byteLength: number;
}

export interface Write {
  readonly role: BufferRole;
  /** Bytes; a multiple of 4. */
  readonly offset: number;
  readonly words: Uint32Array<ArrayBuffer>;
}

/** A dispatch of a step with the kernel that serves it, and its cost. */
export interface DispatchWork {
  readonly dispatch: Dispatch;
  readonly kernel: Kernel;
  readonly work: Workload;
  readonly cost: Cost;
}

/** The size of a step, which decides the kernels it uses. */
export interface StepSize {
  readonly rows: number;
  readonly outs: number;
  /** Keys in sight of the row that sees the most. */
  readonly keys: number;
  readonly head: Head;
  readonly tail: Tail;
}
