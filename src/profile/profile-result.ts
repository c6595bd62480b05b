/** What a profile holds: the result of `profileModel`, which reports, traces and tracks are made of. */
import type { QuantFormat } from "../model-config.ts";
import type { HostWork } from "../runtime/run.ts";
import type { Ceilings } from "./ceilings.ts";

/** The two phases of a generation: the prompt, then token by token. */
export type Phase = "prefill" | "decode";

/** Where times of dispatches come from. */
export type ClockName =
  | "gpu timestamps"
  | "host clock around each dispatch: this device has no timestamp-query"
  | "host clock around each dispatch: this device's timestamps are zero or run backwards";

/** What a phase takes longer with a stage than without it, all other stages acting in both. */
export interface StageCost {
  /** Prefill or decode. */
  readonly phase: Phase;
  /** Id of the stage. */
  readonly stage: string;
  /** Kind of the stage. */
  readonly kind: string;
  /** Dispatches of a phase whose kernel or stages differ without it. */
  readonly dispatches: number;
  /**
   * Median over pairs, in milliseconds: of those dispatches by GPU timestamps, or of the whole phase by the host's clock
   * where there are none.
   */
  readonly ms: number;
  /** Where that median lies 95 times of 100; it may begin below 0 where noise is larger than the cost. */
  readonly interval: readonly [low: number, high: number];
  /** Of the phase's time without the stage. */
  readonly share: number;
  /** What measured it. */
  readonly clock: "gpu timestamps" | "host";
}

/** `load` is all that happens once, before the first step. */
export type HostPhase = "load" | Phase;

/** What the host was doing. */
export type HostSpanWork = "upload" | "tokenize" | "compile" | HostWork;

/** One stretch of time on the host. */
export interface HostSpan {
  /** Part of the call that it belongs to. */
  readonly phase: HostPhase;
  /** Which step of the phase, from 0; null before the run. */
  readonly step: number | null;
  /** What the host did. */
  readonly work: HostSpanWork;
  /** The pipeline's name for `compile`, else the work again. */
  readonly name: string;
  /** From the beginning of the profiled run: below 0 for what happened before it. */
  readonly begin_ms: number;
  /** Milliseconds. */
  readonly ms: number;
  /** What is known beyond its time, under names with units. */
  readonly detail: Readonly<Record<string, number>>;
}

/** Spans of one work, added up. */
export interface HostRow {
  /** Part of the call that it belongs to. */
  readonly phase: HostPhase;
  /** `other` is what remains of a phase: packing rows, bookkeeping, garbage collection. */
  readonly name: HostSpanWork | "other";
  /** Spans that were added up. */
  readonly calls: number;
  /** Of pipelines that compile side by side the time in which any did, so that nothing counts twice. */
  readonly ms: number;
  /** Of the phase's time on the host's clock; null before the run. */
  readonly share: number | null;
  /** Milliseconds a token of the prompt or a decoded one; null before the run. */
  readonly per_token_ms: number | null;
  /** Bytes moved; null for work that moves none. */
  readonly bytes: number | null;
  /** 10⁹ bytes per second; null for work that moves none. */
  readonly gb_per_s: number | null;
}

/** Milliseconds of a phase on the host's clock: of the same work watched in three ways, each the fastest of some runs. */
export interface WallTimes {
  /** With nothing watching. */
  readonly plain_ms: number;
  /** With the host's spans recorded: the run that `host.rows` add up to. */
  readonly recorded_ms: number;
  /** With the host's spans and a clock on every dispatch: the run that `dispatches` and `host.spans` come from. */
  readonly profiled_ms: number;
}

/** Where the time of a generation goes: per dispatch, kernel, layer and stage, and on the host. */
export interface Profile {
  /** The folder's name, or the last part of the address that names a model. */
  readonly model: string;
  /** How its linear weights are kept; null: as they are stored. */
  readonly quantization: QuantFormat | null;
  /** Interventions that acted, in order. */
  readonly stages: readonly string[];
  /** Of the package and its shaders. */
  readonly sluice_version: string;
  /** The device's name. */
  readonly device: string;
  /** Tokens of the prompt. */
  readonly prompt_tokens: number;
  /** Tokens decoded. */
  readonly new_tokens: number;
  /** Where the times of dispatches come from. */
  readonly clock: ClockName;
  /** Steps of the GPU's clock as far as its stamps show them; null for the host's. */
  readonly resolution_ns: number | null;
  /** Dispatches whose stamps were zero or ran backwards; they, and rows that they belong to, have no time. */
  readonly unusable_stamps: number;
  /** What the device was measured to do at most. */
  readonly ceilings: Ceilings;
  /** `performance.now()` of where it ran, at the beginning of the profiled run, from which every `begin_ms` counts. */
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
  /** What the host did meanwhile. */
  readonly host: {
    /** By phase and kind of work. */
    readonly rows: readonly HostRow[];
    /** In the order in which they began; those of pipelines may overlap, the others do not. */
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
  /** From the beginning of the profiled run, in milliseconds; null where the clock gave no usable stamp. */
  readonly begin_ms: number | null;
  /** Milliseconds on the GPU; null if it was not timed. */
  readonly ms: number | null;
  /** Floating-point operations; a fused multiply-add counts as two. */
  readonly flops: number;
  /** Bytes that it must read and write at least. */
  readonly bytes: number;
}

/** Dispatches of a phase that share a kernel, a layer or a place, added up over all its steps. */
export interface ProfileRow {
  /** Prefill or decode. */
  readonly phase: Phase;
  /** The kernel, or the layer. */
  readonly name: string;
  /** Dispatches. */
  readonly calls: number;
  /** Null where some of its dispatches have no time. */
  readonly ms: number | null;
  /** Of the phase's dispatches. */
  readonly share: number | null;
  /** Floating-point operations in all. */
  readonly flops: number;
  /** Bytes in all. */
  readonly bytes: number;
  /** 10⁹ operations per second; null if it was not timed. */
  readonly gflop_per_s: number | null;
  /** 10⁹ bytes per second; null if it was not timed. */
  readonly gb_per_s: number | null;
  /** Of what the device can do at this mix of operations and bytes: the roofline of its own ceilings. */
  readonly share_of_roofline: number | null;
  /** Ids of the stages that run in it. */
  readonly stages: readonly string[];
}
