/** Bundles survive their file; what composition makes of masks, layers and order. */
import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readConfig } from "../../src/architectures/read-config.ts";
import { type StoredTensor, storeFloat32, writeSafetensors } from "../../src/formats/safetensors.ts";
import { readBundle, writeBundle } from "../../src/interventions/bundle.ts";
import { baseOf, compose } from "../../src/interventions/compose.ts";
import {
  countEdges,
  destinationName,
  listDestinations,
  listSources,
  sourceName,
  visibleSources,
} from "../../src/interventions/edges.ts";
import { inspectBundle } from "../../src/interventions/inspect.ts";
import { mergeBundles } from "../../src/interventions/merge.ts";
import { isNowhere } from "../../src/interventions/positions.ts";
import { affineSites, neuronSites } from "../../src/interventions/stage.ts";
import { refusal } from "../formats/refusal.ts";
import { randomPositions } from "../reference/random-compositions.ts";
import { readJson } from "../support/files.ts";
import { bundleOf, filled, gpt2, llama } from "./model-configs.ts";

const float = fc.float({ noNaN: true, noDefaultInfinity: true });
const layers = fc.option(
  fc.oneof(fc.constant("all" as const), fc.uniqueArray(fc.nat(40), { minLength: 1, maxLength: 4 })),
  { nil: undefined },
);
const positions = fc.option(
  randomPositions.filter((each) => !isNowhere(each)),
  { nil: undefined },
);
const strength = fc.option(float, { nil: undefined });
const gate = fc.oneof(
  fc.constantFrom("identity", "relu", undefined),
  fc.tuple(float, float).map(([a, b]) => ({ clamp: [Math.min(a, b), Math.max(a, b)] })),
);
const stage = fc.oneof(
  fc.record({ kind: fc.constant("neuron_scale"), site: fc.constantFrom(...neuronSites), layers, positions, strength }),
  fc.record({
    kind: fc.constant("affine"),
    method: fc.constantFrom("directional_ablation", "low_rank"),
    site: fc.constantFrom(...affineSites),
    layers,
    positions,
    gate,
    strength,
  }),
  fc.record({
    kind: fc.constant("affine"),
    method: fc.constant("addition"),
    site: fc.constantFrom(...affineSites),
    alpha: strength,
  }),
  fc.record({
    kind: fc.constant("edge_mask"),
    destinations: fc.constantFrom("heads", "qkv_groups"),
    edges: fc.array(fc.tuple(fc.string(), fc.string(), fc.float({ min: 0, max: 1, noNaN: true }))),
    strength,
  }),
);
const json = fc.jsonValue({ maxDepth: 2 });
const tensor = fc.record({ dtype: fc.constantFrom("F32", "F16", "BF16", "I64"), length: fc.nat(5), seed: fc.nat(255) });

test("what is written is read back: stages, provenance, unknown keys, and tensors that no stage reads", () => {
  fc.assert(
    fc.property(
      fc.array(stage, { minLength: 1, maxLength: 5 }),
      fc.dictionary(fc.string(), json),
      fc.dictionary(fc.string(), json),
      fc.array(fc.tuple(fc.string(), tensor), { maxLength: 5 }),
      (drawn, fit, extra, sketches) => {
        const stages = drawn.map((item, index) => ({ id: `s${index}`, ...item }));
        const tensors = new Map<string, StoredTensor>();
        for (const [name, { dtype, length, seed }] of sketches) {
          if (name === "__metadata__") continue;
          const bytes = Uint8Array.from(
            { length: length * { F32: 4, I64: 8, F16: 2, BF16: 2 }[dtype] },
            (_, i) => i * 31 + seed,
          );
          tensors.set(name, { dtype, shape: [length], bytes });
        }
        const manifest = { ...extra, name: "random", base: baseOf(gpt2), stages, fit };
        // A manifest from JSON, since that is what a file holds: without undefined, and -0 is 0.
        const plain = JSON.parse(JSON.stringify(manifest));
        delete plain.description;
        delete plain.checks;
        const bundle = { file: "r", manifest: plain, tensors, metadata: new Map([["writer", "fast-check"]]) };
        const read = readBundle(writeBundle(bundle), "r");
        assert.equal(read.manifest, plain);
        assert.equal([...read.metadata], [["writer", "fast-check"]]);
        assert.is(read.tensors.size, tensors.size);
        for (const [name, written] of tensors) assert.equal(read.tensors.get(name), written);
      },
    ),
    { numRuns: 200 },
  );
});

test("models have the sources and edges that the literature counts", async () => {
  const small = { num_hidden_layers: 12, num_attention_heads: 12, num_key_value_heads: 12 };
  assert.is(listSources(small).length, 157);
  assert.is(countEdges(small, "heads"), 11611);
  assert.is(countEdges(small, "qkv_groups"), 32491);
  const stories = readConfig(await readJson("weights/stories260K/config.json"), "stories260K");
  assert.is(listSources(stories).length, 46);
  assert.is(countEdges(stories, "qkv_groups"), 1701);
  const sort = readConfig(await readJson("weights/gpt-nano-sort/config.json"), "gpt-nano-sort");
  assert.is(listSources(sort).length, 13);
  assert.is(countEdges(sort, "heads"), 82);
});

test("a mask's edges below 1 and all listed edges are its structure, the listed values first", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(gpt2, llama),
      fc.infiniteStream(fc.constantFrom(0, 0.25, 1, 1, 1)),
      fc.integer({ min: 0, max: 3 }),
      (config, stream, listedCount) => {
        const destinations = listDestinations(config, "qkv_groups");
        const sources = listSources(config).length;
        const visible = destinations.map((destination) => visibleSources(config, destination));
        const data = new Float32Array(destinations.length * sources).fill(Number.NaN);
        const expected = new Map<number, number>();
        visible.forEach((count, destination) => {
          for (let source = 0; source < count; source++) {
            const value = stream.next().value as number;
            data[destination * sources + source] = value;
            if (value < 1) expected.set(destination * sources + source, value);
          }
        });
        const listed = [
          ["embed", "logits", 1] as const,
          ["blocks.0.mlp", "blocks.1.v.1", 0.75] as const,
          ["blocks.1.head.0", "blocks.1.mlp", 0] as const,
        ].slice(0, listedCount);
        const sourceNames = listSources(config).map(sourceName);
        const destinationNames = destinations.map(destinationName);
        for (const [source, destination, value] of listed) {
          expected.set(destinationNames.indexOf(destination) * sources + sourceNames.indexOf(source), value);
        }
        const stage = { id: "e", kind: "edge_mask", destinations: "qkv_groups", edges: listed };
        const mask = storeFloat32(data, [destinations.length, sources]);
        const [composed] = compose(config, [{ bundle: bundleOf(config, [stage], { "e.mask": mask }) }]).stages;
        assert.ok(composed?.kind === "edge_mask");
        assert.equal(
          composed.edges.map(({ destination, source, value }) => [destination * sources + source, value]),
          [...expected].sort(([a], [b]) => a - b),
        );
      },
    ),
    { numRuns: 60 },
  );
});

test("a caller may widen an edge mask's structure", () => {
  const stage = { id: "e", kind: "edge_mask", destinations: "heads", edges: [["embed", "logits", 0.5]] };
  const bundle = bundleOf(gpt2, [stage]);
  const edgesOf = (edges?: "all" | readonly (readonly [string, string])[]) => {
    const [composed] = compose(gpt2, [{ bundle }], edges ? { edges } : {}).stages;
    assert.ok(composed?.kind === "edge_mask");
    return composed.edges;
  };
  assert.equal(edgesOf(), [{ destination: 9, source: 0, value: 0.5 }]);
  assert.equal(edgesOf([["embed", "blocks.0.mlp"]]), [
    { destination: 2, source: 0, value: 1 },
    { destination: 9, source: 0, value: 0.5 },
  ]);
  assert.is(edgesOf("all").length, countEdges(gpt2, "heads"));
  assert.is(edgesOf("all").filter(({ value }) => value === 1).length, countEdges(gpt2, "heads") - 1);
});

test("defaults are filled in; layers ascend; tensors of other layers and of no stage are left alone", () => {
  const stages = [
    { id: "n", kind: "neuron_scale", site: "attn_z", layers: [2, 0] },
    { id: "a", kind: "affine", method: "addition", site: "resid_pre" },
    { id: "e", kind: "edge_mask", destinations: "heads", edges: [["embed", "logits", 0]], replace: { mlp: "zero" } },
  ];
  const tensors = {
    "n.0.scale": filled([8], 2),
    "n.2.shift": filled([8], 3),
    "n.1.scale": filled([5], Number.NaN),
    "n.0.auroc": filled([3]),
    "a.0.direction": filled([8]),
    "a.1.direction": filled([8]),
    "a.2.direction": filled([8]),
  };
  const composed = compose(gpt2, [{ bundle: bundleOf(gpt2, stages, tensors) }]);
  const eight = (value: number) => new Float32Array(8).fill(value);
  assert.equal(composed.stages[0], {
    id: "n",
    strength: 1,
    kind: "neuron_scale",
    site: "attn_z",
    layers: [0, 2],
    positions: "all",
    values: new Map([
      [0, { scale: eight(2) }],
      [2, { shift: eight(3) }],
    ]),
  });
  const direction = eight(0.5);
  assert.equal(composed.stages[1], {
    id: "a",
    strength: 1,
    kind: "affine",
    method: "addition",
    site: "resid_pre",
    layers: [0, 1, 2],
    positions: "all",
    gate: "identity",
    alpha: 1,
    values: new Map([0, 1, 2].map((layer) => [layer, { direction }])),
  });
  assert.equal(composed.stages[2], {
    id: "e",
    strength: 1,
    kind: "edge_mask",
    destinations: "heads",
    attn_bias: "per_head",
    replace: { attn: "constants", mlp: "zero", logits: "constants" },
    edges: [{ destination: 9, source: 0, value: 0 }],
  });
});

test("names that JavaScript knows are ids, tensors, metadata and provenance like any other", () => {
  for (const id of ["constructor", "__proto__", "toString", "hasOwnProperty"]) {
    const stage = { id, kind: "affine", method: "addition", site: "resid_post", layers: [0] };
    const manifest = { name: id, base: baseOf(gpt2), stages: [stage], fit: JSON.parse('{"__proto__": {"a": 1}}') };
    const one = () => storeFloat32(new Float32Array(gpt2.hidden_size).fill(1), [gpt2.hidden_size]);
    const tensors = new Map([
      [`${id}.0.direction`, one()],
      ["__proto__", one()],
    ]);
    const metadata = new Map([["constructor", "x"]]);
    const back = readBundle(writeBundle({ file: "f", manifest: manifest as never, tensors, metadata }), "f");
    assert.equal([...back.tensors.keys()].sort(), [...tensors.keys()].sort());
    assert.equal([...back.metadata], [...metadata]);
    assert.is(JSON.stringify(back.manifest.fit), '{"__proto__":{"a":1}}');
    const own = new Map([...back.tensors].filter(([name]) => name.startsWith(`${id}.`)));
    const merged = mergeBundles([{ bundle: back }, { bundle: { ...back, tensors: own }, prefix: "p" }], "m");
    assert.equal(Object.keys(merged.manifest.fit ?? {}), [id, `${id} (2)`]);
    assert.ok(inspectBundle(merged).includes(`${id}: addition`));
  }
});

test("a manifest that claims more than a model can have, or nests without end, is refused at once", async () => {
  const text = (base: object, more = "") =>
    `{"name":"x","base":${JSON.stringify({ ...baseOf(gpt2), ...base })},"stages":[{"id":"e","kind":"edge_mask","destinations":"heads","edges":[["embed","logits",0]]}]${more}}`;
  const read = (manifest: string) => () =>
    readBundle(writeSafetensors(new Map(), { format: "sluice.interventions/1", manifest }), "b");
  await refusal("bad_bundle", read(text({ num_layers: 4e9 })), "base.num_layers is 4000000000");
  await refusal("bad_bundle", read(text({ num_heads: 2 ** 31 - 1 })), "base.num_heads is 2147483647");
  await refusal("bad_bundle", read(text({ num_layers: 2000, num_heads: 2000 })), "sources of edges");
  const abyss = `,"fit":${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`;
  await refusal("bad_bundle", read(text({}, abyss)), "nested more than 512 levels");
  read(text({}))();
  const named = (id: string) => read(text({}).replace('"id":"e"', `"id":"${id}"`));
  named("e".repeat(200))();
  // Messages repeat ids whole.
  await refusal("bad_bundle", named("e".repeat(100_000)), "An id is made of at most 200 letters");
  const renamed = text({}).replace('"edges":', `"${"n".repeat(100_000)}":1,"edges":`);
  const message = await refusal("bad_bundle", read(renamed), "is not a field here");
  assert.ok(message.length < 2000, `${message.length} characters`);
});

test.run();
