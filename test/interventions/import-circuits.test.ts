/** Circuits of other projects as edge masks. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Bundle } from "../../src/interventions/bundle-types.ts";
import { refusal } from "../formats/refusal.ts";
import { pickle, tensor, torchZip } from "../formats/torch-files.ts";
import { imported, json, llamaLike, made, type Result, stories, values } from "./import-samples.ts";

/** The cells of a mask that are kept, as `[destination, source]` in canonical order. */
function keptCells(bundle: Bundle): readonly string[] {
  const [, sources = 1] = bundle.tensors.get("circuit.mask")?.shape ?? [];
  return values(bundle, "circuit.mask").flatMap((each, i) =>
    each === 1 ? [`${Math.floor(i / sources)},${i % sources}`] : [],
  );
}

test("EAP-IG, Edge-Pruning and ACDC keep the same edges", async () => {
  const graph = await imported(["eap-ig-layout-gpt2-stories.json"], stories);
  const pairs = await imported(["edge-pruning-layout-gpt2-stories.json"], stories);
  assert.ok(keptCells(graph.bundle).length > 100);
  assert.equal(keptCells(graph.bundle), keptCells(pairs.bundle));
  assert.match(graph.warnings, /zeros/);
  const bias = ({ bundle }: Result): unknown =>
    bundle.manifest.stages[0]?.kind === "edge_mask" && bundle.manifest.stages[0].attn_bias;
  assert.is(bias(graph), "separate");
  assert.is(bias(pairs), "per_head");
  // Sources: embed, then 6 heads and an MLP per layer; destinations: 18 inputs of heads and an MLP per layer.
  const tuples = await imported(["acdc-tuples-as-json.json"], stories);
  assert.equal(keptCells(tuples.bundle), ["21,5", "56,0"]);
  await refusal(
    "bad_bundle",
    () => imported(["edge-pruning-layout-gpt2-stories.json"], llamaLike(96, 2)),
    "edge",
    "another model",
  );
  await refusal("bad_bundle", () => imported(["eap-ig-layout-gpt2-stories.json"], llamaLike(96, 4)), "cfg.n_heads");
});

test("EAP-IG's graphs of scores alone are refused without a number of edges to keep", async () => {
  const graph = { cfg: { n_layers: 4 }, edges: { "input->m0": 0.5, "input->logits": -2, "a0.h1->a1.h2<k>": 0.1 } };
  await refusal("usage", () => made(json("g.json", graph), stories), "--keep");
  const { bundle } = await made(json("g.json", graph), stories, { keep: 2 });
  assert.equal(keptCells(bundle), ["18,0", "76,0"]);
  // A matrix alone: 29 sources, and the queries, keys and values of 24 heads, 4 MLPs and the logits.
  const count = 29 * 77;
  const scores = new Float32Array(count);
  // Of the second head of layer 0 to the MLP of layer 0, and of the embedding to the keys of the first head of layer 1.
  scores[2 * 77 + 18] = -3;
  scores[19 + 6] = 2;
  const matrix = torchZip(pickle(tensor({ count, shape: [29, 77], stride: [77, 1] })), new Uint8Array(scores.buffer));
  await refusal("usage", () => made(new Map([["scores.pt", matrix]]), stories), "--keep");
  assert.equal(keptCells((await made(new Map([["scores.pt", matrix]]), stories, { keep: 2 })).bundle), [
    "18,2",
    "25,0",
  ]);
  await refusal(
    "bad_bundle",
    () => made(json("g.json", { ...graph, cfg: { parallel_attn_mlp: true } }), stories),
    "parallel_attn_mlp",
  );
  await refusal(
    "bad_bundle",
    () => made(json("g.json", { ...graph, cfg: null }), stories),
    "cfg is null, not an object",
  );
  const heads = { n_heads: { toString: 1 } };
  await refusal(
    "bad_bundle",
    () => made(json("g.json", { ...graph, cfg: heads }), stories),
    'n_heads is {"toString":1}',
  );
});

test("what stands where a name should is named as it is, not asked for its text", async () => {
  const odd = { toString: 1, valueOf: null };
  const pruned = [
    ["embeds", "m0"],
    ["embeds", odd],
  ];
  await refusal("bad_bundle", () => made(json("edges.json", pruned), stories), "edge 1");
  const acdc = ["blocks.1.hook_mlp_in", [null], "blocks.0.hook_mlp_out", [null]];
  await refusal(
    "bad_bundle",
    () =>
      made(
        json("e.json", [
          [acdc, 1],
          [[odd, [null], odd, [null]], 1],
        ]),
        stories,
      ),
    "edge 1",
  );
});

test.run();
