/** The logits of fed tokens, a row at a time, as the steps that make them end. */
import { logitsOf } from "../compile/plan.ts";
import type { Feed, Sequences } from "./sequences.ts";

export interface LogitRow {
  readonly sequence: number;
  readonly position: number;
  /** `[vocab_size]`, float32. */
  readonly row: Float32Array;
}

/** @throws SluiceError `aborted`, `device_lost`, `gpu` */
export async function* logitRows(
  sequences: Sequences,
  feeds: readonly Feed[],
  signal: AbortSignal | undefined,
): AsyncGenerator<LogitRow> {
  const { stride } = logitsOf(sequences.plan);
  const steps = sequences.feed(feeds, {
    head: "logits",
    tail: "none",
    signal,
    reads: (step) => [{ role: { role: "logits" }, offset: 0, byteLength: step.outs.length * stride * 4 }],
  });
  for await (const { step, bytes } of steps) {
    const logits = new Float32Array(bytes[0] as ArrayBuffer);
    for (const [out, { sequence, position }] of step.outs.entries()) {
      yield { sequence, position, row: logits.subarray(out * stride, out * stride + sequences.vocabSize) };
    }
  }
}
