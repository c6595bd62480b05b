/** Dispatches of a profile, and their sums by kernel, by layer and by place in the model. */
import { roleIn } from "../compile/fused.ts";
import type { Ceilings } from "./ceilings.ts";
import type { PhasedDispatch } from "./lane.ts";
import type { ProfiledDispatch, ProfileRow } from "./profile-result.ts";

/** @param offsetNs from the clock's time to nanoseconds since the beginning of the run */
export function describeDispatch(
  { phase, step, dispatch, kernel, cost, beginNs, endNs }: PhasedDispatch,
  offsetNs: number,
): ProfiledDispatch {
  return {
    phase,
    step,
    label: dispatch.label,
    layer: dispatch.layer ?? null,
    kernel: kernel.name,
    stages: dispatch.stages ?? [],
    begin_ms: beginNs === null ? null : (beginNs + offsetNs) / 1e6,
    ms: beginNs === null || endNs === null ? null : (endNs - beginNs) / 1e6,
    flops: cost.flops,
    bytes: cost.bytes,
  };
}

/** `layer 3`, or `ends` for what comes before and after the layers. */
export function layerOf({ layer }: ProfiledDispatch): string {
  return layer === null ? "ends" : `layer ${layer}`;
}

/** The place in a layer, the same for all of them: `mlp.up` of `blocks.3.mlp.up`. */
export function siteOf({ label, layer }: ProfiledDispatch): string {
  return roleIn(label, layer ?? undefined);
}

/** One row per phase and name, prefill first, in descending order of time. */
export function rowsOf(
  dispatches: readonly ProfiledDispatch[],
  nameOf: (dispatch: ProfiledDispatch) => string,
  ceilings: Ceilings,
): readonly ProfileRow[] {
  const groups = new Map<string, ProfiledDispatch[]>();
  for (const dispatch of dispatches) {
    const key = `${dispatch.phase}\n${nameOf(dispatch)}`;
    const group = groups.get(key);
    if (group) group.push(dispatch);
    else groups.set(key, [dispatch]);
  }
  const whole = {
    prefill: sumOf(dispatches.filter(({ phase }) => phase === "prefill")),
    decode: sumOf(dispatches.filter(({ phase }) => phase === "decode")),
  };
  const rows = [...groups.values()].map((list): ProfileRow => {
    const { phase } = list[0] as ProfiledDispatch;
    const ms = sumOf(list);
    const total = whole[phase];
    const flops = list.reduce((sum, each) => sum + each.flops, 0);
    const bytes = list.reduce((sum, each) => sum + each.bytes, 0);
    const least = Math.max(flops / ceilings.fma_gflop_per_s, bytes / ceilings.read_gb_per_s) / 1e6;
    const per = (amount: number) => (ms === null || ms === 0 ? null : amount / ms / 1e6);
    return {
      phase,
      name: nameOf(list[0] as ProfiledDispatch),
      calls: list.length,
      ms,
      share: ms === null || total === null || total === 0 ? null : ms / total,
      flops,
      bytes,
      gflop_per_s: per(flops),
      gb_per_s: per(bytes),
      share_of_roofline: ms === null || ms === 0 ? null : least / ms,
      stages: [...new Set(list.flatMap(({ stages }) => stages))],
    };
  });
  return rows.sort((a, b) => (a.phase === b.phase ? (b.ms ?? 0) - (a.ms ?? 0) : a.phase === "prefill" ? -1 : 1));
}

/** Milliseconds of all; null if one has none. */
function sumOf(list: readonly ProfiledDispatch[]): number | null {
  let total = 0;
  for (const { ms } of list) {
    if (ms === null) return null;
    total += ms;
  }
  return total;
}
