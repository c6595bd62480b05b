/** The host's time: before the run for weights, prompt and pipelines; in the run for commands, waiting and text. */

import { hostWorks } from "../execution/host-observer.ts";
import type { CompiledPipeline } from "../execution/pipelines.ts";
import type { UploadRecord } from "../runtime/weights.ts";
import type { LaneRun, PhasedSpan } from "./lane.ts";
import { hostTimeDoor } from "./profile-argument.ts";
import type { HostRow, HostSpan, Phase } from "./profile-result.ts";

/** When a prompt was encoded, and how long that took. */
export interface TokenizeRecord {
  readonly began: number;
  readonly ms: number;
  readonly tokens: number;
}

/** The host's work before the run, as spans. */
export function loadSpans(
  upload: UploadRecord,
  tokenized: TokenizeRecord | null,
  compiled: readonly CompiledPipeline[],
  origin: number,
): readonly HostSpan[] {
  const { bytes, ms, packMs, writeMs, waitMs } = upload;
  const before = { phase: "load", step: null } as const;
  const spans: HostSpan[] = [
    {
      ...before,
      work: "upload",
      name: "upload",
      begin_ms: upload.began - origin,
      ms,
      detail: { bytes, gb_per_s: rate(bytes, ms), pack_ms: packMs, write_ms: writeMs, wait_ms: waitMs },
    },
  ];
  if (tokenized) {
    const { began, tokens } = tokenized;
    const begin_ms = began - origin;
    spans.push({ ...before, work: "tokenize", name: "tokenize", begin_ms, ms: tokenized.ms, detail: { tokens } });
  }
  for (const { name, began, linkMs, compileMs } of compiled) {
    const detail = { link_ms: linkMs, compile_ms: compileMs };
    spans.push({ ...before, work: "compile", name, begin_ms: began - origin, ms: linkMs + compileMs, detail });
  }
  return spans;
}

/** The host's work in the run, as spans. */
export function runSpans(spans: readonly PhasedSpan[], origin: number): readonly HostSpan[] {
  return spans.map(({ phase, step, work, began, ended }) => {
    return { phase, step, work, name: work, begin_ms: began - origin, ms: ended - began, detail: {} };
  });
}

/**
 * Rows of the work before the run, then of each phase in the order in which the host works.
 * @param before from {@link loadSpans}
 * @param run a recorded run
 * @param tokens number of prompt tokens, and of decoded tokens
 */
export function hostRows(
  before: readonly HostSpan[],
  { spans, wall }: LaneRun,
  tokens: Readonly<Record<Phase, number>>,
): readonly HostRow[] {
  const rows: HostRow[] = [];
  for (const name of ["upload", "tokenize", "compile"] as const) {
    const own = before.filter(({ work }) => work === name);
    if (own.length === 0) continue;
    const ms = covered(own);
    const bytes = own[0]?.detail.bytes ?? null;
    const gb_per_s = bytes === null ? null : rate(bytes, ms);
    rows.push({ phase: "load", name, calls: own.length, ms, share: null, per_token_ms: null, bytes, gb_per_s });
  }
  for (const phase of ["prefill", "decode"] as const) {
    const steps = new Set(spans.filter((span) => span.phase === phase).map(({ step }) => step)).size;
    const row = (name: HostRow["name"], calls: number, ms: number): HostRow => {
      const share = wall[phase] > 0 ? ms / wall[phase] : null;
      return { phase, name, calls, ms, share, per_token_ms: ms / tokens[phase], bytes: null, gb_per_s: null };
    };
    let rest = wall[phase];
    for (const name of hostWorks) {
      const own = spans.filter((span) => span.phase === phase && span.work === name);
      if (own.length === 0) continue;
      const ms = own.reduce((sum, { began, ended }) => sum + ended - began, 0);
      rest -= ms;
      rows.push(row(name, own.length, ms));
    }
    // Sums of many differences may be off by a last digit.
    rows.push(row("other", steps, Math.max(0, rest)));
  }
  return rows;
}

/** Host time per decoded token by kind of work: `encode 0.120 ms, submit 0.050 ms, wait 9.800 ms, other 0.030 ms`. */
export function hostTimeOfToken(rows: readonly HostRow[]): string {
  const [known] = hostTimeDoor.read(rows);
  return known
    .flatMap(({ phase, name, per_token_ms: ms }) =>
      phase === "decode" && ms !== null ? [`${name} ${ms.toFixed(3)} ms`] : [],
    )
    .join(", ");
}

/** 10⁹ bytes a second; 0 if the clock showed no time. */
function rate(bytes: number, ms: number): number {
  return ms > 0 ? bytes / ms / 1e6 : 0;
}

/** Milliseconds during which at least one span was active. */
function covered(spans: readonly HostSpan[]): number {
  let [total, until] = [0, -Infinity];
  for (const { begin_ms, ms } of [...spans].sort((a, b) => a.begin_ms - b.begin_ms)) {
    const end = begin_ms + ms;
    if (end > until) total += end - Math.max(begin_ms, until);
    until = Math.max(until, end);
  }
  return total;
}
