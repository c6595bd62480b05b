/** A profile: the result of `profileModel`, from which reports, traces and tracks are made. */

import type { HostWork } from "../execution/host-observer.ts";
import type { Ceilings } from "./ceilings.ts";

/** The two phases of a generation: the prompt, then token by token. */
export type Phase = "prefill" | "decode";

/** The clock that timed the dispatches. */
export type ClockName =
  | "gpu timestamps"
  | "host clock around each dispatch: this device has no timestamp-query"
  | "host clock around each dispatch: this device's timestamps are zero or run backwards";

/** How much longer a phase takes with a stage than without it; all other stages act in both. */
export interface StageCost {
  /** Prefill or decode. */
  readonly phase: Phase;
  /** Id of the stage. */
  readonly stage: string;
  /** Kind of the stage. */
  readonly kind: string;
  /** Number of dispatches of the phase whose kernel or stages differ without it. */
  readonly dispatches: number;
  /**
   * Median over pairs, in milliseconds: for those dispatches by GPU timestamps, or for the whole phase by the host's clock
   * if there are none.
   */
  readonly ms: number;
  /** 95 % interval of that median; it may begin below 0 if noise is larger than the cost. */
  readonly interval: readonly [low: number, high: number];
  /** Share of the phase's time without the stage. */
  readonly share: number;
  /** The clock that measured it. */
  readonly clock: "gpu timestamps" | "host";
}

/** `load` is all work that happens once, before the first step. */
export type HostPhase = "load" | Phase;

/** What the host was doing. */
export type HostSpanWork = "upload" | "tokenize" | "compile" | HostWork;

/** One span of time on the host. */
export interface HostSpan {
  /** The part of the call that it belongs to. */
  readonly phase: HostPhase;
  /** Which step of the phase, from 0; null before the run. */
  readonly step: number | null;
  /** What the host did. */
  readonly work: HostSpanWork;
  /** The pipeline's name for `compile`, otherwise the kind of work. */
  readonly name: string;
  /** Milliseconds from the beginning of the profiled run; below 0 for earlier work. */
  readonly begin_ms: number;
  /** Milliseconds. */
  readonly ms: number;
  /** Further measurements, under names with units. */
  readonly detail: Readonly<Record<string, number>>;
}

/** The sum of the spans of one kind of work. */
export interface HostRow {
  /** Part of the call that it belongs to. */
  readonly phase: HostPhase;
  /** `other` is the rest of a phase: packing rows, bookkeeping, garbage collection. */
  readonly name: HostSpanWork | "other";
  /** Number of spans. */
  readonly calls: number;
  /** Milliseconds; for pipelines that compile in parallel, the time during which any did, so that nothing counts twice. */
  readonly ms: number;
  /** Share of the phase's time on the host's clock; null before the run. */
  readonly share: number | null;
  /** Milliseconds per prompt token or per decoded token; null before the run. */
  readonly per_token_ms: number | null;
  /** Bytes moved; null for work that moves none. */
  readonly bytes: number | null;
  /** 10⁹ bytes per second; null for work that moves none. */
  readonly gb_per_s: number | null;
}

/** Milliseconds of a phase on the host's clock: the same work measured in three ways, each the fastest of some runs. */
export interface WallTimes {
  /** Without profiling. */
  readonly plain_ms: number;
  /** With the host's spans recorded: the run behind `host.rows`. */
  readonly recorded_ms: number;
  /** With the host's spans and a clock on every dispatch: the run behind `dispatches` and `host.spans`. */
  readonly profiled_ms: number;
}

/** The time of a generation: per dispatch, kernel, layer and stage, and on the host. */
export interface Profile {
  /** The folder's name, or the last part of the address that names a model. */
  readonly model: string;
  /** Quantisation of its linear weights: `q8`, `q4`, `mlx`, or a GGUF file's, such as `GGUF Q4_K_M`; null: as stored. */
  readonly quantization: string | null;
  /** Interventions that acted, in order. */
  readonly stages: readonly string[];
  /** Version of the package and its shaders. */
  readonly sluice_version: string;
  /** The device's name. */
  readonly device: string;
  /** Tokens of the prompt. */
  readonly prompt_tokens: number;
  /** Tokens decoded. */
  readonly new_tokens: number;
  /** The clock that timed the dispatches. */
  readonly clock: ClockName;
  /** Step of the GPU's clock as its stamps show it; null for the host's clock. */
  readonly resolution_ns: number | null;
  /** Dispatches whose stamps were zero or ran backwards; these, and rows that contain them, have no time. */
  readonly unusable_stamps: number;
  /** The device's measured ceilings. */
  readonly ceilings: Ceilings;
  /** `performance.now()` at the beginning of the profiled run, from which every `begin_ms` counts. */
  readonly time_origin_ms: number;
  /** Every dispatch of one prefill and one decode step, in order. */
  readonly dispatches: readonly ProfiledDispatch[];
  /** By place in the model: `blocks.3.mlp.up`. */
  readonly by_label: readonly ProfileRow[];
  /** Dispatches by kernel, the longest first. */
  readonly by_kernel: readonly ProfileRow[];
  /** Dispatches by layer, the longest first. */
  readonly by_layer: readonly ProfileRow[];
  /** By place in a layer, all layers together: `mlp.up`. */
  readonly by_site: readonly ProfileRow[];
  /** What each intervention stage costs, in both phases; empty without interventions. */
  readonly stage_costs: readonly StageCost[];
  /** Milliseconds on the host's clock, by phase. */
  readonly wall: Readonly<Record<Phase, WallTimes>>;
  /** The host's work meanwhile. */
  readonly host: {
    /** By phase and kind of work. */
    readonly rows: readonly HostRow[];
    /** In the order in which they began; spans of pipelines may overlap, others do not. */
    readonly spans: readonly HostSpan[];
  };
}

/** One dispatch of one step. */
export interface ProfiledDispatch {
  /** Prefill or decode. */
  readonly phase: Phase;
  /** Which step of the phase, from 0. */
  readonly step: number;
  /** Where in the model: `blocks.3.mlp.up`. */
  readonly label: string;
  /** Layer, from 0; null outside of the blocks. */
  readonly layer: number | null;
  /** Name of the kernel. */
  readonly kernel: string;
  /** Interventions that this dispatch carries. */
  readonly stages: readonly string[];
  /** From the beginning of the profiled run, in milliseconds; null if the clock gave no usable stamp. */
  readonly begin_ms: number | null;
  /** Milliseconds on the GPU; null if it was not timed. */
  readonly ms: number | null;
  /** Floating-point operations; a fused multiply-add counts as two. */
  readonly flops: number;
  /** Bytes that it must at least read and write. */
  readonly bytes: number;
}

/** The sum of a phase's dispatches that share a kernel, a layer or a place, over all steps. */
export interface ProfileRow {
  /** Prefill or decode. */
  readonly phase: Phase;
  /** The kernel, or the layer. */
  readonly name: string;
  /** Dispatches. */
  readonly calls: number;
  /** Milliseconds; null if some of its dispatches have no time. */
  readonly ms: number | null;
  /** Share of the time of the phase's dispatches. */
  readonly share: number | null;
  /** Floating-point operations in all. */
  readonly flops: number;
  /** Bytes in all. */
  readonly bytes: number;
  /** 10⁹ operations per second; null if it was not timed. */
  readonly gflop_per_s: number | null;
  /** 10⁹ bytes per second; null if it was not timed. */
  readonly gb_per_s: number | null;
  /** Share of the roofline: what the device's ceilings allow for this ratio of operations to bytes. */
  readonly share_of_roofline: number | null;
  /** Ids of the stages that run in it. */
  readonly stages: readonly string[];
}
