/** The forward half of an attribution: every source's output under the mask, in the kept form. */
import { MAX_ROWS } from "../compile/lower-context.ts";
import { attentionKernels } from "../kernels/attention/attention.ts";
import { embedKernel } from "../kernels/embed.ts";
import { kernelFor } from "../kernels/kernel.ts";
import type { PlacedNorm } from "./model.ts";
import type { Bound } from "./program.ts";
import { at, type DestinationGroup, type Recorder, type SourceGroup } from "./recorder.ts";
import type { Chunk } from "./rows.ts";
import { stepOf } from "./workspace.ts";

/** Embedding and blocks. Within a layer chunks ascend, since a chunk attends to those before it. */
export function recordForward(recorder: Recorder): void {
  const { space, model } = recorder;
  recorder.begin({ layer: -1, part: "loss" });
  for (const chunk of space.rows.chunks) recordEmbedding(recorder, chunk);
  for (let layer = 0; layer < model.layers.length; layer++) {
    recorder.begin({ layer, part: "loss" });
    for (const chunk of space.rows.chunks) {
      recordInputs(recorder, layer, chunk);
      recordProjections(recorder, layer, chunk);
      recordAttention(recorder, layer, chunk);
      if (space.headsKept) recorder.makeHeads(layer, chunk);
      recordMlpInput(recorder, layer, chunk);
      recordMlp(recorder, layer, chunk);
    }
  }
}

/** Sums of what every source wrote, over all rows. */
export function recordSums(recorder: Recorder): void {
  const { space, model } = recorder;
  recorder.begin({ layer: model.layers.length, part: "sums" });
  for (const chunk of space.rows.chunks) {
    for (const group of recorder.sourcesBefore(model.layers.length)) {
      recorder.addSums(chunk, group, recorder.written(group, chunk), space.sums);
    }
  }
}

function recordEmbedding(recorder: Recorder, chunk: Chunk): void {
  const { space, model } = recorder;
  const { tokens, positions } = model;
  const { hidden_size: width, vocab_size: vocab } = space.config;
  const wpe = positions?.parts[0];
  for (const { buffer, firstStrip, strips } of tokens.parts) {
    const kernel = embedKernel({
      width,
      vocab,
      wte: tokens.dtype,
      ...(positions && { wpe: positions.dtype }),
      maxRows: MAX_ROWS,
    });
    recorder.over(
      chunk,
      kernel,
      {
        tokens: space.tokens,
        wte: { buffer },
        ...(wpe && { wpe: { buffer: wpe.buffer } }),
        output: space.embed[chunk.index] as Bound,
      },
      { first_row: firstStrip * 4, row_count: strips * 4 },
    );
  }
}

/** The inputs of a layer's attention, whole, and of its MLP, without what the layer's own heads will add. */
export function recordInputs(recorder: Recorder, layer: number, chunk: Chunk): void {
  const { x, xMlp } = recorder.space;
  sumSources(recorder, chunk, recorder.sourcesBefore(layer), [
    [recorder.destinationsOf("attention", layer), x],
    [recorder.destinationsOf("mlp", layer), xMlp],
  ]);
}

/** Adds sources, in canonical order, into the inputs of some destinations. */
export function sumSources(
  recorder: Recorder,
  chunk: Chunk,
  sources: readonly SourceGroup[],
  inputs: readonly (readonly [DestinationGroup, Bound])[],
): void {
  for (const from of sources) {
    const outs = recorder.written(from, chunk);
    for (const [to, output] of inputs) recorder.addSources(chunk, to, from, outs, output);
  }
}

/** Norms the attention inputs and projects them: queries of the chunk, and its keys and values. */
export function recordProjections(recorder: Recorder, layer: number, chunk: Chunk): void {
  const { space } = recorder;
  const { num_attention_heads: heads, num_key_value_heads: kvHeads, head_dim: headDim } = space.config;
  const { attnNorm, qkv, rope } = recorder.layer(layer);
  recorder.norm(chunk, attnNorm, space.counts.inputs, { input: space.x, output: space.normed });
  const perHead = Array.from({ length: heads }, (_, h) => h);
  const variants =
    recorder.destinations === "heads"
      ? [...perHead, ...perHead, ...perHead]
      : Array.from({ length: heads + 2 * kvHeads }, (_, i) => i);
  recorder.linear(qkv, {
    step: stepOf(space, chunk),
    rows: chunk.count,
    epilogue: { kind: "qkv", heads, kvHeads, headDim, rope },
    bind: {
      input: space.normed,
      q: space.q[chunk.index] as Bound,
      k_cache: space.keys,
      v_cache: space.values,
      ...(rope && recorder.rope && { rope: recorder.rope }),
    },
    args: { variant_stride: space.variantStride, variants },
  });
}

function recordAttention(recorder: Recorder, layer: number, chunk: Chunk): void {
  const { space, parts } = recorder;
  const { num_attention_heads: heads, num_key_value_heads: kv_heads, head_dim } = space.config;
  const { scale, window } = recorder.layer(layer);
  const shape = { heads, kv_heads, head_dim, taps: [], maxRows: MAX_ROWS };
  recorder.over(
    chunk,
    kernelFor(attentionKernels(shape, parts), chunk.count),
    {
      q: space.q[chunk.index] as Bound,
      k_cache: space.keys,
      v_cache: space.values,
      slots: space.slots,
      z: at(space.z, layer, chunk),
    },
    { scale, window, slot_stride: space.rows.longest },
  );
}

/** Adds what the layer's heads wrote to its MLP's input. */
export function recordMlpInput(recorder: Recorder, layer: number, chunk: Chunk): void {
  const heads = recorder.headsOf(layer);
  const outs = recorder.written(heads, chunk);
  recorder.addSources(chunk, recorder.destinationsOf("mlp", layer), heads, outs, recorder.space.xMlp);
}

function recordMlp(recorder: Recorder, layer: number, chunk: Chunk): void {
  const { space } = recorder;
  const { mlpNorm, inner, gated, down } = recorder.layer(layer);
  recordNormedRow(recorder, mlpNorm, chunk);
  const place = { step: stepOf(space, chunk), rows: chunk.count };
  recorder.linear(inner, {
    ...place,
    epilogue: { kind: gated ? "gated" : "activation", activation: space.config.activation },
    bind: { input: space.row, output: space.post },
  });
  recorder.linear(down, {
    ...place,
    epilogue: { kind: "store" },
    bind: { input: space.post, output: at(space.mlpOut, layer, chunk) },
  });
}

/** The norm of `xMlp`, which also serves for the logits' input. */
export function recordNormedRow(recorder: Recorder, norm: PlacedNorm, chunk: Chunk): void {
  const { xMlp, row } = recorder.space;
  recorder.norm(chunk, norm, 1, { input: xMlp, output: row });
}
