/** A profile as a trace: JSON for Perfetto and Chrome's DevTools, and spans for the Performance panel of a page. */
import type { Profile, ProfiledDispatch } from "./profile.ts";

/** https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU (Trace Event Format) */
interface TraceEvent {
  readonly name: string;
  readonly ph: "X" | "M";
  readonly pid: number;
  readonly tid: number;
  /** Microseconds. */
  readonly ts?: number;
  readonly dur?: number;
  readonly cat?: string;
  readonly args: Readonly<Record<string, unknown>>;
}

const PROCESS = 1;
const TRACKS = { kernels: 1, layers: 2, phases: 3 } as const;

/** One track of kernels, one of layers and one of phases, on the GPU's clock. Dispatches without a time are left out. */
export function traceOf(profile: Profile): string {
  const names = { kernels: "GPU: kernels", layers: "GPU: layers", phases: "GPU: phases" };
  const events: TraceEvent[] = [
    { name: "process_name", ph: "M", pid: PROCESS, tid: 0, args: { name: `Sluice on ${profile.device}` } },
    ...(Object.keys(TRACKS) as (keyof typeof TRACKS)[]).map(
      (track): TraceEvent => ({
        name: "thread_name",
        ph: "M",
        pid: PROCESS,
        tid: TRACKS[track],
        args: { name: names[track] },
      }),
    ),
    ...profile.dispatches.flatMap((each) =>
      span(TRACKS.kernels, each.label, [each], {
        kernel: each.kernel,
        flops: each.flops,
        bytes: each.bytes,
        ...(each.stages.length > 0 && { stages: each.stages }),
      }),
    ),
    ...runs(profile.dispatches, ({ phase, step, layer }) => `${phase} ${step}/${layer ?? "ends"}`).flatMap((run) =>
      span(TRACKS.layers, run[0]?.layer === null ? "ends" : `layer ${run[0]?.layer}`, run, {}),
    ),
    ...runs(profile.dispatches, ({ phase, step }) => `${phase} ${step}`).flatMap((run) =>
      span(TRACKS.phases, `${run[0]?.phase} ${run[0]?.step}`, run, {}),
    ),
  ];
  return JSON.stringify({ traceEvents: events, displayTimeUnit: "ms" });
}

/** Shows the dispatches on a track of their own in the page's Performance panel. */
export function measureInPage(profile: Profile, origin = performance.now()): void {
  for (const { label, kernel, begin_ms, ms } of profile.dispatches) {
    if (begin_ms === null || ms === null) continue;
    performance.measure(label, {
      start: origin + begin_ms,
      end: origin + begin_ms + ms,
      detail: { devtools: { dataType: "track-entry", track: "Sluice GPU", properties: [["kernel", kernel]] } },
    });
  }
}

function span(
  tid: number,
  name: string,
  dispatches: readonly ProfiledDispatch[],
  args: Readonly<Record<string, unknown>>,
): TraceEvent[] {
  const timed = dispatches.filter(({ begin_ms, ms }) => begin_ms !== null && ms !== null);
  const [first, last] = [timed[0], timed.at(-1)];
  if (!first || !last) return [];
  const ts = (first.begin_ms as number) * 1000;
  const end = ((last.begin_ms as number) + (last.ms as number)) * 1000;
  return [{ name, ph: "X", pid: PROCESS, tid, ts, dur: end - ts, cat: first.phase, args }];
}

/** Neighbouring dispatches with the same key. */
function runs(
  dispatches: readonly ProfiledDispatch[],
  keyOf: (dispatch: ProfiledDispatch) => string,
): readonly (readonly ProfiledDispatch[])[] {
  const found: ProfiledDispatch[][] = [];
  let key: string | undefined;
  for (const dispatch of dispatches) {
    if (keyOf(dispatch) !== key) found.push([]);
    key = keyOf(dispatch);
    found.at(-1)?.push(dispatch);
  }
  return found;
}
