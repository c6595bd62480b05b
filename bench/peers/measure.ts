/** Lanes in turns, in one run: times of each, and ratios to Sluice's from pairs of one round. */
import { median, medianInterval } from "../../src/profile/statistics.ts";
import type { Run } from "./lane.ts";
import type { OpenLane } from "./open-lane.ts";
import type { LaneSpec } from "./peers.ts";

export interface Estimate {
  readonly median: number;
  /** Where the median lies 95 times of 100, by resampling. */
  readonly interval: readonly [low: number, high: number];
}

/** How far a lane's results are Sluice's. */
export interface Agreement {
  /** Greedy ids from the first on that are the same. */
  readonly same_tokens: number;
  readonly of: number;
  /** Greatest difference of the log-probabilities after the prompt and one more token; null if the engine gives none. */
  readonly log_probability_difference: number | null;
}

export interface LaneResult {
  readonly engine: string;
  readonly version: string | null;
  readonly host: string;
  readonly device: string;
  /** The device that the engine reports; null if it reports none. */
  readonly reported_device: string | null;
  readonly status: "measured" | "not installed" | "failed";
  readonly problem?: string;
  readonly new_tokens?: number;
  readonly runs?: readonly { readonly prefill_ms: number; readonly decode_ms: number }[];
  readonly prefill_tokens_per_s?: Estimate;
  readonly decode_tokens_per_s?: Estimate;
  /** Time over Sluice's time on the same device, from pairs of one round; absent for Sluice itself. */
  readonly prefill_ratio?: Estimate;
  readonly decode_ratio?: Estimate;
  readonly agreement?: Agreement;
}

/** A lane that could be opened. */
export interface Opened {
  readonly spec: LaneSpec;
  readonly version: string | null;
  readonly lane: OpenLane;
}

export interface Plan {
  readonly prompt: readonly number[];
  /** Tokens of a run, the first included. Lanes that are slow decode fewer, but at least 2. */
  readonly newTokens: number;
  readonly rounds: number;
  /** What one run of a lane may take. */
  readonly turnSeconds: number;
  onProgress(what: string): void;
}

/** A lane on its way. */
interface Measured extends Opened {
  newTokens: number;
  problem: string | undefined;
  readonly runs: (Run | undefined)[];
  logProbabilities: Float32Array | null;
}

/** A lane that fails on the way is reported as failed; the others continue. */
export async function measureLanes(opened: readonly Opened[], plan: Plan): Promise<readonly LaneResult[]> {
  const lanes = opened.map((one): Measured => {
    return { ...one, newTokens: plan.newTokens, problem: undefined, runs: [], logProbabilities: null };
  });
  for (const lane of lanes) await attempt(lane, () => warmUp(lane, plan));
  for (let round = 0; round < plan.rounds; round++) {
    // Turns alternate in who goes first, so that no lane always follows the same neighbour.
    for (const lane of round % 2 === 0 ? lanes : [...lanes].reverse()) {
      if (lane.problem !== undefined) continue;
      await attempt(lane, async () => {
        lane.runs[round] = await lane.lane.generate(plan.prompt, lane.newTokens);
      });
    }
    plan.onProgress(`round ${round + 1} of ${plan.rounds}`);
  }
  return lanes.map((lane) => resultOf(lane, referenceOf(lane, lanes), plan.prompt.length));
}

/** Compiles, requests probabilities, and decides how many tokens a turn has time for. */
async function warmUp(lane: Measured, plan: Plan): Promise<void> {
  const started = performance.now();
  lane.logProbabilities = await lane.lane.logProbabilities([...plan.prompt, plan.prompt[0] ?? 0]);
  // What gives no probabilities has not run yet, and its first prefill, which compiles, tells nothing about others.
  if (lane.logProbabilities === null) await lane.lane.generate(plan.prompt, 2);
  // Shapes of a prefill, of a first and of a second step are compiled by their first run.
  let run = await lane.lane.generate(plan.prompt, 2);
  // If a prefill fills half of the turn, two tokens are what is measured, and they are warm.
  if (run.prefill_ms < plan.turnSeconds * 500) {
    await lane.lane.generate(plan.prompt, Math.min(3, plan.newTokens));
    run = await lane.lane.generate(plan.prompt, 2);
    const time = plan.turnSeconds * 1000 - run.prefill_ms;
    lane.newTokens = Math.max(2, Math.min(plan.newTokens, 1 + Math.floor(time / run.decode_ms)));
  } else {
    lane.newTokens = 2;
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  plan.onProgress(`${labelOf(lane.spec)} is warm after ${seconds} s; ${lane.newTokens} tokens a run`);
}

async function attempt(lane: Measured, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    lane.problem = error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error);
  }
}

export function labelOf({ engine, host, device }: LaneSpec): string {
  return `${engine} in ${host} on ${device}`;
}

/** Sluice in the same host on the same device; for the CPU, which Sluice does not use by itself, on the host's first. */
function referenceOf({ spec }: Measured, lanes: readonly Measured[]): Measured | undefined {
  const own = lanes.filter((lane) => lane.spec.engine === "sluice" && lane.spec.host === spec.host);
  return own.find((lane) => lane.spec.device === spec.device) ?? (spec.device === "CPU" ? own[0] : undefined);
}

function resultOf(lane: Measured, reference: Measured | undefined, promptLength: number): LaneResult {
  const { spec, version } = lane;
  const { engine, host, device } = spec;
  const reported_device = lane.lane.device;
  const base = { engine, version, host, device, reported_device };
  const runs = lane.runs.filter((run) => run !== undefined);
  if (lane.problem !== undefined || runs.length === 0) {
    return { ...base, status: "failed", problem: lane.problem ?? "nothing was measured" };
  }
  const ratio = (of: "prefill_ms" | "decode_ms"): Estimate =>
    estimate(
      lane.runs.flatMap((run, round) => {
        const other = reference?.runs[round];
        return run && other ? [run[of] / other[of]] : [];
      }),
    );
  return {
    ...base,
    status: "measured",
    new_tokens: lane.newTokens,
    runs: runs.map(({ prefill_ms, decode_ms }) => ({ prefill_ms, decode_ms })),
    prefill_tokens_per_s: estimate(runs.map((run) => (promptLength * 1000) / run.prefill_ms)),
    decode_tokens_per_s: estimate(runs.map((run) => 1000 / run.decode_ms)),
    ...(reference &&
      reference !== lane && {
        prefill_ratio: ratio("prefill_ms"),
        decode_ratio: ratio("decode_ms"),
        agreement: agreementOf(lane, reference),
      }),
  };
}

function agreementOf(lane: Measured, reference: Measured): Agreement {
  const [mine = [], theirs = []] = [lane, reference].map(({ runs }) => runs.find((run) => run)?.tokens);
  const of = Math.min(lane.newTokens, reference.newTokens);
  let same = 0;
  while (same < of && mine[same] === theirs[same]) same++;
  return {
    same_tokens: same,
    of,
    log_probability_difference: greatestDifference(lane.logProbabilities, reference.logProbabilities),
  };
}

function greatestDifference(a: Float32Array | null, b: Float32Array | null): number | null {
  if (!a || !b || a.length !== b.length) return null;
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - (b[i] as number))), 0);
}

function estimate(values: readonly number[]): Estimate {
  return { median: median(values), interval: medianInterval(values) };
}
