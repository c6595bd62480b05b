/** A profile as a trace: JSON for Perfetto and Chrome's DevTools. */

import { layerOf } from "./dispatch-rows.ts";
import { traceDoor } from "./profile-argument.ts";
import type { HostSpan, Profile, ProfiledDispatch } from "./profile-result.ts";
import type { ReportOrigin } from "./report-origin.ts";

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

/** Nanoseconds from the trace's 0 to its first event: DevTools reads a time of 0 as missing, and does not show such events. */
const FIRST_NS = 1000;

/** An event's span in whole nanoseconds, so that neighbours touch and never overlap. */
interface Span {
  readonly name: string;
  readonly begin: number;
  readonly end: number;
  readonly cat: string;
  readonly args: TraceEvent["args"];
}

/**
 * Tracks of the host, of GPU phases, layers and kernels, and of compilation. The host's work before the run comes before it,
 * without the time in between, in which the profiler did other things. Dispatches without a time are left out. Perfetto drops
 * events that overlap others of their track, so these get a second track.
 */
export function traceOf(profile: Profile, origin?: ReportOrigin): string {
  return eventsOf(...traceDoor.read(profile, origin));
}

function eventsOf(profile: Profile, origin: ReportOrigin | undefined): string {
  const { dispatches } = profile;
  const { moved, lead } = closeGaps(profile.host.spans.filter(({ phase }) => phase === "load"));
  const running = profile.host.spans.filter(({ phase }) => phase !== "load");
  const spanOf = (name: string, list: readonly ProfiledDispatch[], args: TraceEvent["args"]): Span[] => {
    const timed = list.filter(({ begin_ms, ms }) => begin_ms !== null && ms !== null);
    const [first, last] = [timed[0], timed.at(-1)];
    if (!first || !last) return [];
    const begin = (first.begin_ms as number) + lead;
    return [span(name, begin, (last.begin_ms as number) + (last.ms as number) + lead - begin, first.phase, args)];
  };
  const tracks: readonly (readonly [name: string, spans: readonly Span[]])[] = [
    [
      "Host",
      [
        ...moved
          .filter(({ work }) => work !== "compile")
          .map(({ name, phase, begin_ms, ms, detail }) => span(name, begin_ms, ms, phase, detail)),
        ...running.map(({ name, phase, step, begin_ms, ms }) => span(name, begin_ms + lead, ms, phase, { step })),
      ],
    ],
    [
      "GPU: phases",
      runs(dispatches, ({ phase, step }) => `${phase} ${step}`).flatMap((run) =>
        spanOf(`${run[0]?.phase} ${run[0]?.step}`, run, {}),
      ),
    ],
    [
      "GPU: layers",
      runs(dispatches, (each) => `${each.phase} ${each.step}/${layerOf(each)}`).flatMap((run) =>
        spanOf(layerOf(run[0] as ProfiledDispatch), run, {}),
      ),
    ],
    [
      `GPU: kernels (${profile.clock})`,
      dispatches.flatMap((each) =>
        spanOf(each.label, [each], {
          kernel: each.kernel,
          flops: each.flops,
          bytes: each.bytes,
          ...(each.stages.length > 0 && { stages: each.stages }),
        }),
      ),
    ],
    [
      "Host: compiling",
      moved
        .filter(({ work }) => work === "compile")
        .map(({ name, begin_ms, ms, detail }) => span(name, begin_ms, ms, "load", detail)),
    ],
  ];
  const lanes = tracks.flatMap(([name, spans]) => {
    return inLanes(spans).map((lane, i) => ({ name: i === 0 ? name : `${name} ${i + 1}`, lane }));
  });
  const events: TraceEvent[] = [
    { name: "process_name", ph: "M", pid: PROCESS, tid: 0, args: { name: `Sluice on ${profile.device}` } },
    ...lanes.flatMap(({ name, lane }, i) => [...named(i + 1, name), ...lane.map((each) => complete(i + 1, each))]),
  ];
  const { model, sluice_version, device } = profile;
  const otherData = { model, sluice_version, device, ...origin };
  return JSON.stringify({ traceEvents: events, displayTimeUnit: "ms", otherData });
}

function span(name: string, beginMs: number, ms: number, cat: string, args: TraceEvent["args"]): Span {
  const at = (time: number): number => FIRST_NS + Math.round(time * 1e6);
  return { name, begin: at(beginMs), end: at(beginMs + ms), cat, args };
}

/** A track's name, and its place among the others. */
function named(tid: number, name: string): TraceEvent[] {
  return [
    { name: "thread_name", ph: "M", pid: PROCESS, tid, args: { name } },
    { name: "thread_sort_index", ph: "M", pid: PROCESS, tid, args: { sort_index: tid } },
  ];
}

function complete(tid: number, { name, begin, end, cat, args }: Span): TraceEvent {
  return { name, ph: "X", pid: PROCESS, tid, ts: begin / 1000, dur: (end - begin) / 1000, cat, args };
}

/** Spans moved to start at 0, without the gaps between them in which nothing was active; and their end. */
function closeGaps(spans: readonly HostSpan[]): { readonly moved: readonly HostSpan[]; readonly lead: number } {
  let [until, shift, lead] = [-Infinity, 0, 0];
  const moved: HostSpan[] = [];
  for (const each of spans) {
    if (each.begin_ms > until) shift = lead - each.begin_ms;
    until = Math.max(until, each.begin_ms + each.ms);
    lead = Math.max(lead, until + shift);
    moved.push({ ...each, begin_ms: Math.max(0, each.begin_ms + shift) });
  }
  return { moved, lead };
}

/** Spans that may overlap, on as few tracks as hold them without overlaps. */
function inLanes(spans: readonly Span[]): readonly (readonly Span[])[] {
  const lanes: Span[][] = [];
  for (const each of [...spans].sort((a, b) => a.begin - b.begin)) {
    const free = lanes.find((lane) => (lane.at(-1) as Span).end <= each.begin);
    if (free) free.push(each);
    else lanes.push([each]);
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
