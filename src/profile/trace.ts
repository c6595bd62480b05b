/** A profile as a trace: JSON for Perfetto and Chrome's DevTools. */
import { layerOf, type ProfiledDispatch } from "./dispatch-rows.ts";
import type { HostSpan } from "./host.ts";
import type { Profile } from "./profile.ts";

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
const TRACKS = { host: 1, phases: 2, layers: 3, kernels: 4 } as const;
/** Pipelines compile side by side, on as many tracks as that takes. */
const FIRST_COMPILE_TRACK = 5;

/**
 * Tracks of the host, of GPU phases, layers and kernels, and of compilation, from 0 on. What the host did before the run
 * stands before it without the time between, in which the profiler did other things. Dispatches without a time are
 * left out.
 */
export function traceOf(profile: Profile): string {
  const { dispatches } = profile;
  const { moved, lead } = closeGaps(profile.host.spans.filter(({ phase }) => phase === "load"));
  const running = profile.host.spans.filter(({ phase }) => phase !== "load");
  const compiling = inLanes(moved.filter(({ work }) => work === "compile"));
  const span = (
    tid: number,
    name: string,
    list: readonly ProfiledDispatch[],
    args: TraceEvent["args"],
  ): TraceEvent[] => {
    const timed = list.filter(({ begin_ms, ms }) => begin_ms !== null && ms !== null);
    const [first, last] = [timed[0], timed.at(-1)];
    if (!first || !last) return [];
    const begin = (first.begin_ms as number) + lead;
    const ms = (last.begin_ms as number) + (last.ms as number) + lead - begin;
    return [complete(tid, name, begin, ms, first.phase, args)];
  };
  const events: TraceEvent[] = [
    { name: "process_name", ph: "M", pid: PROCESS, tid: 0, args: { name: `Sluice on ${profile.device}` } },
    ...named(TRACKS.host, "Host"),
    ...named(TRACKS.phases, "GPU: phases"),
    ...named(TRACKS.layers, "GPU: layers"),
    ...named(TRACKS.kernels, `GPU: kernels (${profile.clock})`),
    ...compiling.flatMap((_, i) => named(FIRST_COMPILE_TRACK + i, `Host: compiling ${i + 1}`)),
    ...moved
      .filter(({ work }) => work !== "compile")
      .map(({ name, phase, begin_ms, ms, detail }) => complete(TRACKS.host, name, begin_ms, ms, phase, detail)),
    ...running.map(({ name, phase, step, begin_ms, ms }) =>
      complete(TRACKS.host, name, begin_ms + lead, ms, phase, { step }),
    ),
    ...compiling.flatMap((lane, i) =>
      lane.map(({ name, begin_ms, ms, detail }) =>
        complete(FIRST_COMPILE_TRACK + i, name, begin_ms, ms, "load", detail),
      ),
    ),
    ...runs(dispatches, ({ phase, step }) => `${phase} ${step}`).flatMap((run) =>
      span(TRACKS.phases, `${run[0]?.phase} ${run[0]?.step}`, run, {}),
    ),
    ...runs(dispatches, (each) => `${each.phase} ${each.step}/${layerOf(each)}`).flatMap((run) =>
      span(TRACKS.layers, layerOf(run[0] as ProfiledDispatch), run, {}),
    ),
    ...dispatches.flatMap((each) =>
      span(TRACKS.kernels, each.label, [each], {
        kernel: each.kernel,
        flops: each.flops,
        bytes: each.bytes,
        ...(each.stages.length > 0 && { stages: each.stages }),
      }),
    ),
  ];
  return JSON.stringify({ traceEvents: events, displayTimeUnit: "ms" });
}

/** A track's name, and its place among the others. */
function named(tid: number, name: string): TraceEvent[] {
  return [
    { name: "thread_name", ph: "M", pid: PROCESS, tid, args: { name } },
    { name: "thread_sort_index", ph: "M", pid: PROCESS, tid, args: { sort_index: tid } },
  ];
}

function complete(
  tid: number,
  name: string,
  beginMs: number,
  ms: number,
  cat: string,
  args: TraceEvent["args"],
): TraceEvent {
  return { name, ph: "X", pid: PROCESS, tid, ts: beginMs * 1000, dur: ms * 1000, cat, args };
}

/** Spans moved to follow one another from 0 on, as far as nothing was under way between them; and where they end. */
function closeGaps(spans: readonly HostSpan[]): { readonly moved: readonly HostSpan[]; readonly lead: number } {
  let [until, shift, lead] = [-Infinity, 0, 0];
  const moved: HostSpan[] = [];
  for (const span of spans) {
    if (span.begin_ms > until) shift = lead - span.begin_ms;
    until = Math.max(until, span.begin_ms + span.ms);
    lead = Math.max(lead, until + shift);
    moved.push({ ...span, begin_ms: Math.max(0, span.begin_ms + shift) });
  }
  return { moved, lead };
}

/** Spans that may overlap, on as few tracks as hold them without overlaps. */
function inLanes(spans: readonly HostSpan[]): readonly (readonly HostSpan[])[] {
  const lanes: HostSpan[][] = [];
  for (const span of spans) {
    const free = lanes.find((lane) => {
      const last = lane.at(-1);
      return last === undefined || last.begin_ms + last.ms <= span.begin_ms;
    });
    if (free) free.push(span);
    else lanes.push([span]);
  }
  return lanes;
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
