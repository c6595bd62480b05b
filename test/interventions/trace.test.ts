/** What stages leave behind in plans: nothing without stages, and with them few dispatches, few kernels, few bytes. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { allDispatches, kernelsIn, type Plan } from "../../src/compile/plan.ts";
import { listDestinations, visibleSources } from "../../src/interventions/edges.ts";
import {
  type AffineSite,
  type Composition,
  type EdgeMaskStage,
  type MaskedEdge,
  type NeuronSite,
  noStages,
  type Stage,
} from "../../src/interventions/stage.ts";
import { interfaceOf } from "../../src/kernels/interface.ts";
import { location } from "../support/files.ts";
import { gpt2Small as config, decodeStep, imaginedPlan } from "../support/imagined-plan.ts";
import { load } from "../support/load.ts";
import { dampStage } from "../support/stages.ts";

const LAYERS = Array.from({ length: config.num_hidden_layers }, (_, layer) => layer);
const of = (...stages: Stage[]): Composition => ({ stages, warnings: [] });

function neurons(site: NeuronSite, layers: readonly number[] = LAYERS): Stage {
  const width = site.startsWith("mlp_p") ? config.intermediate_size : config.hidden_size;
  const values = new Map(layers.map((layer) => [layer, { scale: new Float32Array(width) }]));
  return { id: `neurons_${site}`, kind: "neuron_scale", site, layers, positions: "all", strength: 1, values };
}

function ace(site: AffineSite, layers: readonly number[] = LAYERS): Stage {
  const vector = new Float32Array(config.hidden_size).fill(1);
  const values = new Map(layers.map((layer) => [layer, { direction: vector, reference: vector }]));
  const common = { kind: "affine", method: "ace", gate: "identity", alpha: 1, positions: "all", strength: 1 } as const;
  return { id: `ace_${site}`, ...common, site, layers, values };
}

/** Every n-th edge is cut. */
function edges(every: number, first = 0): EdgeMaskStage {
  const list: MaskedEdge[] = [];
  let count = 0;
  listDestinations(config, "heads").forEach((destination, index) => {
    for (let source = 0; source < visibleSources(config, destination); source++) {
      if (count++ % every === first) list.push({ destination: index, source, value: 0 });
    }
  });
  const replace = { attn: "zero", mlp: "zero", logits: "zero" } as const;
  return {
    id: "edges",
    kind: "edge_mask",
    destinations: "heads",
    attn_bias: "per_head",
    replace,
    edges: list,
    strength: 1,
  };
}

const text = (plan: Plan) =>
  JSON.stringify(allDispatches(plan).map(({ label, args, bind, candidates }) => [label, args, bind, candidates]));

test("without stages, or with a mask of no edges, the plan is the plain one", () => {
  const plain = text(imaginedPlan(config, noStages));
  assert.is(text(imaginedPlan(config, of({ ...edges(10), edges: [] }))), plain);
});

test("explain says the same as without, and with stages names them where they are carried", async () => {
  const model = await load(location("test/golden/gpt2-tiny"));
  try {
    const plain = await model.explain();
    assert.is(await model.with([]).explain(), plain);
    const edited = await model.withStages(of(dampStage(192))).explain();
    const carrier = /\n {4}(\S+)\n[^\n]*\n(?: {6}[^\n]*\n)*? {6}stages: damp\n/.exec(edited);
    assert.is(carrier?.[1], "blocks.1.mlp.up");
  } finally {
    model.dispose();
  }
});

test("neuron_scale and affine stages in the stream add no dispatch", () => {
  const plain = decodeStep(imaginedPlan(config, noStages)).length;
  for (const site of ["attn_norm", "attn_z", "attn_out", "mlp_norm", "mlp_pre", "mlp_post", "mlp_out"] as const) {
    assert.is(decodeStep(imaginedPlan(config, of(neurons(site)))).length, plain, site);
  }
  for (const site of ["resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out"] as const) {
    assert.is(decodeStep(imaginedPlan(config, of(ace(site)))).length, plain, site);
  }
});

test("an edge mask adds at most one dispatch a layer, none on software devices or where no head is needed", () => {
  const plain = decodeStep(imaginedPlan(config, noStages)).length;
  const tiled = decodeStep(imaginedPlan(config, of(edges(1)), { family: "tiled" })).length;
  assert.ok(tiled <= plain + config.num_hidden_layers);
  assert.is(decodeStep(imaginedPlan(config, of(edges(1)))).length, plain);
  // embed → blocks.3.mlp
  const destination = listDestinations(config, "heads").findIndex(
    ({ kind, ...rest }) => kind === "mlp" && "layer" in rest && rest.layer === 3,
  );
  const one = { ...edges(1), edges: [{ destination, source: 0, value: 0 }] };
  assert.is(decodeStep(imaginedPlan(config, of(one))).length, plain);
});

const BUNDLES: readonly (readonly [name: string, composition: Composition])[] = [
  ["AurA on every MLP", of(neurons("mlp_pre"), neurons("mlp_out"))],
  ["ACE at every layer", of(ace("resid_post"))],
  ["12 edges", of(edges(968))],
  ["100 edges", of(edges(117))],
  ["all together", of(edges(968), neurons("mlp_pre"), ace("resid_post"))],
  ["a dense mask", of(edges(1))],
  [
    "everything, each in a few layers alone",
    of(
      edges(500),
      neurons("attn_norm", [1]),
      neurons("attn_z", [2]),
      neurons("mlp_norm", [4]),
      neurons("mlp_pre", [5]),
      neurons("mlp_post", [6]),
      neurons("mlp_out", [7]),
      ace("resid_pre", [0, 8]),
      ace("resid_mid", [9]),
      ace("resid_post", [10, 11]),
      ace("mlp_out", [3]),
    ),
  ],
  ["stages at attn_out of some layers", of(neurons("attn_out", [3]), ace("attn_out", [5]), ace("mlp_out", [6]))],
];

for (const family of ["register", "tiled"] as const) {
  test(`${family}: no bundle adds more than six kernels to a decode step`, () => {
    const plain = new Set(decodeStep(imaginedPlan(config, noStages, { family })).map(({ name }) => name)).size;
    assert.ok(plain <= 16, `${plain} kernels of the plain model`);
    for (const [name, composition] of BUNDLES) {
      const own = new Set(decodeStep(imaginedPlan(config, composition, { family })).map((step) => step.name)).size;
      assert.ok(own <= plain + 6, `${name}: ${own} kernels, ${plain} without`);
    }
  });

  test(`${family}: every kernel of every bundle keeps to eight storage buffers and no dispatch reads what it writes`, async () => {
    for (const [name, composition] of BUNDLES) {
      const captures = ["resid_post.3", "mlp_norm.3", "attn_norm.4", "mlp_pre.2", "attn_z.1"];
      for (const { label, candidates, bind } of allDispatches(
        imaginedPlan(config, composition, { family, captures }),
      )) {
        for (const kernel of kernelsIn({ candidates })) {
          const storage = (await interfaceOf(kernel)).bindings.filter(({ access }) => access !== "args");
          assert.ok(storage.length <= 8, `${name}: ${kernel.name} binds ${storage.length}`);
          const bufferOf = (binding: string) => {
            const { offset: _, ...role } = { offset: 0, ...bind[binding] };
            return JSON.stringify(role);
          };
          const written = storage
            .filter(({ access }) => access === "read_write")
            .map((binding) => bufferOf(binding.name));
          const read = storage.filter(({ access }) => access === "read").map((binding) => bufferOf(binding.name));
          for (const buffer of written) {
            assert.not.ok(read.includes(buffer), `${name}: ${label} reads and writes ${buffer}`);
            assert.is(
              written.filter((other) => other === buffer).length,
              1,
              `${name}: ${label} writes ${buffer} twice`,
            );
          }
        }
      }
    }
  });
}

test("sparse bundles move at most 1 % more bytes", () => {
  const bytes = (composition: Composition) =>
    decodeStep(imaginedPlan(config, composition)).reduce((sum, { cost }) => sum + cost.bytes, 0);
  const plain = bytes(noStages);
  for (const [name, composition] of BUNDLES.slice(0, 5)) {
    const share = bytes(composition) / plain - 1;
    assert.ok(share <= 0.01, `${name}: ${(100 * share).toFixed(2)} % more`);
  }
});

test.run();
