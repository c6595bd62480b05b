/** The dispatches of attributions, recorded for models that exist only as shapes. */

import { recordBackward } from "../../src/attribution/backward.ts";
import { recordForward, recordSums } from "../../src/attribution/forward.ts";
import { type AttributionParts, placeModel } from "../../src/attribution/model.ts";
import type { Recorded, Recording } from "../../src/attribution/program.ts";
import { Recorder } from "../../src/attribution/recorder.ts";
import { makeWorkspace } from "../../src/attribution/workspace.ts";
import { fuse } from "../../src/compile/fuse.ts";
import type { KernelFamily } from "../../src/kernels/kernel.ts";
import type { ModelConfig } from "../../src/model-config.ts";
import { imaginedModel } from "../../test/support/imagined-plan.ts";

const BINDING_LIMIT = 1 << 27;
const TEXTS = [Array.from({ length: 300 }, (_, i) => i % 50)];

/** Forward and backward of a model on one text, with single masks and with two side by side. */
export function attributionDispatches(config: ModelConfig, family: KernelFamily): readonly Recorded[] {
  const { plain, layout } = imaginedModel(config);
  const parts = {
    config,
    graph: plain,
    ops: fuse(plain),
    layout,
    family,
    reference: false,
    weights: { parts: layout.matrices.flatMap((matrix) => matrix.parts.map(imaginedBuffer)), params: imaginedBuffer() },
  } as unknown as AttributionParts;
  const recorded: Recorded[] = [];
  const recording: Recording = {
    buffer: imaginedBuffer,
    write: () => undefined,
    step: () => 0,
    begin: () => undefined,
    record: (dispatch) => recorded.push(dispatch),
  };
  for (const masks of [1, 2]) {
    const destinations = config.num_attention_heads === config.num_key_value_heads ? "heads" : "qkv_groups";
    const space = makeWorkspace(recording, config, destinations, TEXTS, { masks, bindingLimit: BINDING_LIMIT });
    const recorder = new Recorder(parts, placeModel(parts), space, recording, destinations);
    recordForward(recorder);
    recordBackward(recorder);
    if (space.differentiates) recordSums(recorder);
  }
  return recorded;
}

function imaginedBuffer(): GPUBuffer {
  return {} as GPUBuffer;
}
