/**
 * The backward half of an attribution, from the logits down. What a layer's destinations read is recomputed, its gradient
 * is found, and from that follow the mask's gradient and what the sources before it get:
 * ∂L/∂m[D,s] = Σ_t ⟨dx_D, out_s − repl_s⟩ and g_s = Σ_D m[D,s]·dx_D.
 */
import { MAX_ROWS } from "../compile/lower-context.ts";
import { backwardActivation } from "../kernels/backward/activation.ts";
import { backwardAttention, backwardRope } from "../kernels/backward/attention.ts";
import { crossEntropyGradient } from "../kernels/backward/cross-entropy.ts";
import type { OutputSpan } from "../kernels/backward/linear.ts";
import { crossEntropyKernels } from "../kernels/sample/cross-entropy.ts";
import { recordInputs, recordMlpInput, recordNormedRow, recordProjections, sumSources } from "./forward.ts";
import type { Bound } from "./program.ts";
import { at, type DestinationGroup, type Recorder, type SourceGroup } from "./recorder.ts";
import type { Chunk } from "./rows.ts";
import { stepOf } from "./workspace.ts";

export function recordBackward(recorder: Recorder): void {
  const { space, model } = recorder;
  const { chunks } = space.rows;
  const { length } = model.layers;
  for (const chunk of chunks) recordHead(recorder, chunk);
  if (!space.differentiates) return;
  recorder.begin({ layer: length, part: "gradient" });
  for (let layer = length - 1; layer >= 0; layer--) {
    // Of all chunks first: a key's gradient comes from every row that sees it.
    for (const chunk of chunks) {
      recordInputs(recorder, layer, chunk);
      recordMlpInput(recorder, layer, chunk);
      recordMlpGradient(recorder, layer, chunk);
      recordProjections(recorder, layer, chunk);
      recordAttentionStats(recorder, layer, chunk);
    }
    for (const chunk of chunks) recordAttentionGradient(recorder, layer, chunk);
    for (const chunk of chunks) recordInputGradients(recorder, layer, chunk);
  }
}

/** Logits by tiles of rows, their losses, and the gradient of the logits' input. */
function recordHead(recorder: Recorder, chunk: Chunk): void {
  const { space, model } = recorder;
  const sources = recorder.sourcesBefore(model.layers.length);
  const logits = recorder.destinationsOf("logits");
  const loss = { layer: model.layers.length, part: "loss" } as const;
  const gradient = { ...loss, part: "gradient" } as const;
  recorder.begin(loss);
  sumSources(recorder, chunk, sources, [[logits, space.xMlp]]);
  recordNormedRow(recorder, model.finalNorm, chunk);
  const dnormed = space.normed;
  const entropy = crossEntropyKernels({ vocab: space.config.vocab_size, maxRows: MAX_ROWS }, recorder.parts);
  const entropyGradient = crossEntropyGradient({ vocab: space.config.vocab_size, maxRows: MAX_ROWS });
  for (let first = 0; first < chunk.count; first += space.tileRows) {
    const rows = Math.min(space.tileRows, chunk.count - first);
    const step = recorder.newStep(chunk.first + first, rows);
    const offset = first * space.d4 * 16;
    const place = { step, rows };
    const args = { offset: chunk.first + first };
    recorder.begin(loss);
    recorder.linear(model.head, {
      ...place,
      epilogue: { kind: "store" },
      bind: { input: { ...space.row, offset }, output: space.logits },
    });
    const { logits: values, partials, tokens, losses } = space;
    recorder.dispatch({ ...place, kernel: entropy.partial, bind: { logits: values, tokens, partials } });
    recorder.dispatch({ ...place, kernel: entropy.final, args, bind: { partials, logits: values, tokens, losses } });
    if (!space.differentiates) continue;
    recorder.begin(gradient);
    recorder.dispatch({
      ...place,
      kernel: entropyGradient,
      args,
      bind: { logits: values, losses, tokens, weights: space.shares, output: space.dlogits },
    });
    recorder.linearGradient(model.head, {
      ...place,
      gradient: space.dlogits,
      output: { ...dnormed, offset },
    });
  }
  if (!space.differentiates) return;
  const dx = space.dx;
  recorder.norm(chunk, model.finalNorm, 1, { input: space.xMlp, gradient: dnormed, output: dx });
  for (const from of sources) recordEdges(recorder, chunk, from, [[logits, dx]], "zero");
}

/**
 * What the gradients of some destinations' inputs give to a group of sources that they see, and to the mask.
 * @param begin whether the sources' gradients begin here
 */
function recordEdges(
  recorder: Recorder,
  chunk: Chunk,
  group: SourceGroup,
  gradients: readonly (readonly [DestinationGroup, Bound])[],
  begin: "zero" | "output",
): void {
  const { space } = recorder;
  const outs = recorder.written(group, chunk);
  for (const [to, dx] of gradients) recorder.addMaskGradient(chunk, to, group, outs, dx);
  if (group.kind === "embed") return;
  const heads = group.kind === "heads";
  const output = heads ? space.headGradients : at(space.dmlpOut, group.layer, chunk);
  let next = heads ? "zero" : begin;
  for (const [to, dx] of gradients) {
    recorder.addDestinations(chunk, group, to, dx, output, next);
    next = "output";
  }
  if (heads) recorder.headsGradient(group.layer, chunk, begin);
}

/** Through the MLP, from what it wrote to what it read; then to the layer's own heads. */
function recordMlpGradient(recorder: Recorder, layer: number, chunk: Chunk): void {
  const { space } = recorder;
  const { mlpNorm, inner, gated, down } = recorder.layer(layer);
  const { activation, intermediate_size: width } = space.config;
  const place = { step: stepOf(space, chunk), rows: chunk.count };
  recordNormedRow(recorder, mlpNorm, chunk);
  recorder.linear(inner, { ...place, epilogue: { kind: "store" }, bind: { input: space.row, output: space.pre } });
  recorder.linearGradient(down, { ...place, gradient: at(space.dmlpOut, layer, chunk), output: space.post });
  recorder.over(chunk, backwardActivation({ activation, gated, width, maxRows: MAX_ROWS }), {
    pre: space.pre,
    gradient: space.post,
    output: space.dpre,
  });
  recorder.linearGradient(inner, { ...place, gradient: space.dpre, output: space.row });
  const dx = space.dmlpInput[chunk.index] as Bound;
  recorder.norm(chunk, mlpNorm, 1, { input: space.xMlp, gradient: space.row, output: dx });
  recordEdges(recorder, chunk, recorder.headsOf(layer), [[recorder.destinationsOf("mlp", layer), dx]], "output");
}

function attentionOf(recorder: Recorder) {
  const { space } = recorder;
  const { num_attention_heads: heads, num_key_value_heads: kv_heads, head_dim } = space.config;
  return backwardAttention({ heads, kv_heads, head_dim, tile: space.chunkRows, maxRows: MAX_ROWS });
}

function recordAttentionStats(recorder: Recorder, layer: number, chunk: Chunk): void {
  const { space } = recorder;
  const { scale, window } = recorder.layer(layer);
  const bind = {
    q: space.q[chunk.index] as Bound,
    keys: space.keys,
    z: at(space.z, layer, chunk),
    dz: at(space.dz, layer, chunk),
    output: space.stats[chunk.index] as Bound,
  };
  recorder.over(chunk, attentionOf(recorder).stats, bind, { scale, window });
}

/** dq of the chunk's rows, and what they give to dk and dv of every chunk up to their own. */
function recordAttentionGradient(recorder: Recorder, layer: number, chunk: Chunk): void {
  const { space } = recorder;
  const { scale, window } = recorder.layer(layer);
  const kernels = attentionOf(recorder);
  const own = { q: space.q[chunk.index] as Bound, dz: at(space.dz, layer, chunk) };
  const seen = space.rows.chunks.filter(
    ({ index, first, count }) => index <= chunk.index && first + count > chunk.oldest,
  );
  for (const [i, keys] of seen.entries()) {
    const { tile } = space;
    const part = { ...chunk, keys: Math.min(chunk.keys, chunk.count * keys.count) };
    const place = { first_key: keys.first, key_count: keys.count };
    recorder.over(
      part,
      kernels.weights,
      { ...own, keys: space.keys, values: space.values, stats: space.stats[chunk.index] as Bound, output: tile },
      { scale, window, ...place },
    );
    recorder.over(
      part,
      kernels.query,
      { tile, keys: space.keys, output: space.dqkv[chunk.index] as Bound },
      { window, ...place, accumulate: i > 0 ? 1 : 0 },
    );
    const diagonal = keys.index === chunk.index;
    recorder.dispatch({
      kernel: kernels.keyValue,
      step: stepOf(space, chunk),
      rows: keys.count,
      keys: part.keys,
      args: { key_count: keys.count, diagonal: diagonal ? 1 : 0, accumulate: diagonal ? 0 : 1 },
      bind: { tile, ...own, output: space.dqkv[keys.index] as Bound },
    });
  }
}

/** From dq, dk and dv to the attention inputs; then from these and the MLP's input to all sources before the layer. */
function recordInputGradients(recorder: Recorder, layer: number, chunk: Chunk): void {
  const { space } = recorder;
  const { num_attention_heads: heads, num_key_value_heads: kv_heads, head_dim } = space.config;
  const { attnNorm, qkv, rope } = recorder.layer(layer);
  const attention = recorder.destinationsOf("attention", layer);
  const sources = recorder.sourcesBefore(layer);
  const dqkv = space.dqkv[chunk.index] as Bound;
  if (rope && recorder.rope) {
    const shape = { heads, kv_heads, head_dim, maxRows: MAX_ROWS };
    recorder.over(chunk, backwardRope(shape), { rope: recorder.rope, output: dqkv });
  }
  // With a single chunk, what `recordInputs` left is still there.
  if (space.rows.chunks.length > 1) sumSources(recorder, chunk, sources, [[attention, space.x]]);
  recorder.linearGradient(
    qkv,
    { step: stepOf(space, chunk), rows: chunk.count, gradient: dqkv, output: space.normed },
    readersOf(recorder),
  );
  recorder.norm(chunk, attnNorm, space.counts.inputs, { input: space.x, gradient: space.normed, output: space.dx });
  const gradients = [
    [attention, space.dx],
    [recorder.destinationsOf("mlp", layer), space.dmlpInput[chunk.index] as Bound],
  ] as const;
  for (const group of sources) recordEdges(recorder, chunk, group, gradients, "output");
}

/** Of each attention input, the outputs of W_q, W_k and W_v that are made from it. */
function readersOf({ destinations, space }: Recorder): readonly (readonly OutputSpan[])[] {
  const { num_attention_heads: H, head_dim: dh } = space.config;
  const span = (i: number): OutputSpan => [i * dh, (i + 1) * dh];
  return Array.from({ length: space.counts.inputs }, (_, i) =>
    destinations === "heads" ? [span(i), span(H + i), span(2 * H + i)] : [span(i)],
  );
}
