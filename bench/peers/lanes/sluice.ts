/** Sluice itself, through its public interface. */
import { load } from "../../../src/index.ts";
import { type Lane, type LaneOptions, logSoftmax, type ModelFiles } from "../lane.ts";

export async function openLane({ folder, context }: ModelFiles, { adapter }: LaneOptions): Promise<Lane> {
  const model = await load(folder, adapter === undefined ? {} : { adapter });
  return {
    device: model.device.name,
    async generate(prompt, newTokens) {
      const options = { maxNewTokens: newTokens, context, temperature: 0 };
      const { tokens, timings } = await model.generate(prompt, options).result();
      return { prefill_ms: timings.prefill_ms, decode_ms: timings.decode_ms / Math.max(1, newTokens - 1), tokens };
    },
    async logProbabilities(tokens) {
      const { data } = await model.logits(tokens, { last: true });
      return logSoftmax(data);
    },
  };
}
