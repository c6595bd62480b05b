/** What a running batch compiles before its first request, so that nothing compiles between two tokens. */
import { RUNS_UNDER_WAY, rowsOfEveryKernel } from "../decode-runs.ts";
import { MAX_STEPS_PER_RUN } from "../executor.ts";
import type { StepSize } from "../run.ts";
import type { Sequences } from "../sequences.ts";

/** @param prefillRows rows of prompts in a step, at most */
export async function prepareBatch(
  { executor, plan }: Sequences,
  prefillRows: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { sequences, chunkRows, chunkOuts, capacity } = plan;
  const plans = executor.plansInUse;
  const mostOuts = Math.min(sequences, chunkOuts);
  // A step of `rows` rows may have any number of out rows up to these, and short contexts or long ones.
  const sizes = rowsOfEveryKernel(plans, Math.min(sequences + prefillRows, chunkRows)).flatMap((rows) =>
    rowsOfEveryKernel(plans, Math.min(rows, mostOuts)).flatMap((outs) =>
      [rows, capacity].map((keys) => ({ rows, outs, keys, head: "logits" }) as const),
    ),
  );
  executor.reserveReads(RUNS_UNDER_WAY, sequences * MAX_STEPS_PER_RUN * 4);
  await executor.prepare(
    sizes.flatMap((size) => (["greedy", "sample"] as const).map((tail): StepSize => ({ ...size, tail }))),
    signal,
  );
}
