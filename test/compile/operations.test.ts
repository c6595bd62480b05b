/** What becomes of an operation that a phase does not know: a line where graphs are printed, a refusal by name elsewhere. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type AttributionParts, placeModel } from "../../src/attribution/model.ts";
import { fuse } from "../../src/compile/fuse.ts";
import type { Graph, Node, Value } from "../../src/graph/graph.ts";
import { printGraph } from "../../src/graph/print.ts";
import { planBake } from "../../src/interventions/bake-plan.ts";
import type { Stage } from "../../src/interventions/stage.ts";
import { gpt2Small, imaginedModel } from "../support/imagined-plan.ts";

const { plain, layout } = imaginedModel({ ...gpt2Small, num_hidden_layers: 2 });
const ops = fuse(plain);

/** The graph with an operation of the future between the MLP's activation and its output projection. */
function strange(graph: Graph): Graph {
  const out: Value = { id: 1e6, width: 3072, rows: "rows", sites: [] };
  const nodes = graph.nodes.flatMap((node): readonly Node[] => {
    if (node.op !== "linear" || node.out.sites[0]?.kind !== "mlp_out" || node.out.sites[0].layer !== 1) return [node];
    const fold = { op: "fold", input: node.input, out, least: -1, most: 1 } as unknown as Node;
    return [fold, { ...node, input: out }];
  });
  return { ...graph, nodes };
}

test("a node that no kernel serves is refused by its name", () => {
  assert.throws(() => fuse(strange(plain)), /No kernel serves a fold node/);
});

test("an operation without a notation is printed by its name, what it reads and its constants", () => {
  const line = printGraph(strange(plain))
    .split("\n")
    .find((each) => each.includes("fold"));
  assert.is(line, "  %1000000 [rows, 3072] = fold(mlp_post.1, least=-1, most=1)");
});

test("edges are not attributed through an operation without a gradient, nor in blocks of another make", () => {
  const weights = { parts: [], params: {} };
  const place = (parts: Partial<AttributionParts>) =>
    placeModel({ graph: plain, ops, layout, weights, ...parts } as unknown as AttributionParts);
  assert.is(place({}).layers.length, 2);
  assert.throws(() => place({ graph: strange(plain) }), /operation fold has no backward pass/);
  const shuffled = ops.filter(({ role, layer }) => role !== "mlp.norm" || layer !== 1);
  assert.throws(() => place({ ops: shuffled }), /should have mlp.norm, there is blocks.1.mlp.up/);
});

test("a stage whose values no weight reads or makes any more is not baked into the weight that did", () => {
  const stage = (layer: number): Stage => ({
    id: `halve.${layer}`,
    kind: "neuron_scale",
    site: "mlp_post",
    layers: [layer],
    positions: "all",
    strength: 1,
    values: new Map([[layer, { scale: new Float32Array(3072).fill(0.5) }]]),
  });
  const { kept, linears } = planBake(strange(plain), { stages: [stage(0), stage(1)], warnings: [] });
  assert.equal(kept, [{ id: "halve.1", layer: 1, reason: "no weight makes or reads the values at mlp_post.1" }]);
  assert.is(linears.length, 1);
});

test.run();
