/** Sequences side by side, each with stages set its own way: every logit against the sequence alone, to the bit. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { LoadOptions, Model } from "../../src/index.ts";
import { destinationName, listDestinations, listSources, sourceName } from "../../src/interventions/edges.ts";
import type { Composition, EdgeMaskStage, Stage } from "../../src/interventions/stage.ts";
import type { LiveStages } from "../../src/runtime/live-stages.ts";
import type { Sequences } from "../../src/runtime/sequences.ts";
import { assertClose } from "../support/closeness.ts";
import { location } from "../support/files.ts";
import { lastLogits } from "../support/last-logits.ts";
import { load } from "../support/load.ts";
import { myTurns } from "../support/turns.ts";

/** What a sequence is told: its tokens, how many of them are its prompt, and how its stages are set. */
interface Told {
  readonly tokens: readonly number[];
  readonly promptLength: number;
  set(stages: LiveStages, sequence: number): void;
}

/** Tokens that are run one at a time at the end. */
const DECODED = 3;

const wave = (length: number, phase: number, size: number) =>
  Float32Array.from({ length }, (_, i) => size * Math.sin(1.7 * i + phase));

function edges(model: Model): EdgeMaskStage {
  const { num_attention_heads: H, num_key_value_heads: G } = model.config;
  const destinations = H === G ? "heads" : "qkv_groups";
  const names = listDestinations(model.config, destinations).map(destinationName);
  const sources = listSources(model.config).map(sourceName);
  const head = destinations === "heads" ? "head" : "q";
  const pairs = [
    ["embed", `blocks.0.${head}.1`],
    ["blocks.0.head.0", `blocks.1.${head}.0`],
    ["blocks.0.mlp", "blocks.1.mlp"],
    ["blocks.1.head.1", "logits"],
  ] as const;
  const list = pairs.map(([source, destination], i) => ({
    destination: names.indexOf(destination),
    source: sources.indexOf(source),
    value: i / 4,
  }));
  const replace = { attn: "constants", mlp: "zero", logits: "constants" } as const;
  const constants = wave(sources.length * model.config.hidden_size, 4, 0.5);
  return {
    id: "edges",
    kind: "edge_mask",
    destinations,
    attn_bias: "per_head",
    replace,
    edges: list,
    constants,
    strength: 1,
  };
}

/** Each kind, in the norm, at the output of a linear layer, and behind the prompt alone. */
function composition(model: Model): Composition {
  const { hidden_size: d, intermediate_size: f } = model.config;
  const affine = { kind: "affine", gate: "identity", alpha: 1, strength: 1 } as const;
  const stages: readonly Stage[] = [
    {
      id: "ace",
      ...affine,
      method: "ace",
      site: "resid_post",
      layers: [0],
      positions: "all",
      values: new Map([[0, { direction: wave(d, 1, 1), reference: wave(d, 2, 1) }]]),
    },
    {
      id: "push",
      ...affine,
      method: "addition",
      site: "resid_mid",
      layers: [1],
      positions: "generated",
      values: new Map([[1, { direction: wave(d, 3, 2) }]]),
    },
    {
      id: "neurons",
      kind: "neuron_scale",
      site: "mlp_post",
      layers: [0, 1],
      positions: "all",
      strength: 1,
      values: new Map([0, 1].map((layer) => [layer, { scale: wave(f, layer, 2) }])),
    },
    edges(model),
  ];
  return { stages, warnings: [] };
}

function turnOff(stages: LiveStages, sequence: number): void {
  for (const id of ["ace", "push", "neurons", "edges"]) stages.set(id, { strength: 0 }, sequence);
}

/** Four sequences of different lengths; the last has every stage off. */
function fourSequences(model: Model): readonly Told[] {
  const at = (from: number, count: number) =>
    Array.from({ length: count }, (_, i) => ((from + i) * 37 + 11) % model.config.vocab_size);
  const edge = edges(model).edges[2] as EdgeMaskStage["edges"][number];
  const source = sourceName(listSources(model.config)[edge.source] as ReturnType<typeof listSources>[number]);
  return [
    { tokens: at(0, 9), promptLength: 6, set: () => undefined },
    {
      tokens: at(3, 11),
      promptLength: 9,
      set: (stages, sequence) => {
        stages.set("ace", { alpha: -1.5, strength: 0.5 }, sequence);
        stages.set("push", { alpha: 3 }, sequence);
      },
    },
    {
      tokens: at(1, 7),
      promptLength: 2,
      set: (stages, sequence) => {
        stages.set("edges", { strength: 0.75, edges: [[source, "blocks.1.mlp", 1]] }, sequence);
        stages.set("neurons", { strength: -0.5 }, sequence);
        stages.set("ace", { strength: 0 }, sequence);
      },
    },
    { tokens: at(5, 8), promptLength: 8, set: turnOff },
  ];
}

/** The logits of the prefill's last token and of each token behind it, by sequence. */
async function run(model: Model, told: readonly Told[]): Promise<readonly (readonly Float32Array[])[]> {
  const context = Math.max(...told.map(({ tokens }) => tokens.length));
  const sequences: Sequences = await model.openSequences({ sequences: told.length, context });
  const rows: Float32Array[][] = told.map(() => []);
  try {
    told.forEach(({ promptLength, set }, sequence) => {
      sequences.beginPrompt(sequence, promptLength);
      if (sequences.stages) set(sequences.stages, sequence);
    });
    for (let step = 0; step <= DECODED; step++) {
      const feeds = told.map(({ tokens }, sequence) => {
        const prefilled = tokens.length - DECODED;
        const part = step === 0 ? tokens.slice(0, prefilled) : tokens.slice(prefilled + step - 1, prefilled + step);
        return { sequence, tokens: part };
      });
      for (const [sequence, logits] of await lastLogits(sequences, feeds)) rows[sequence]?.push(logits);
    }
  } finally {
    sequences.dispose();
  }
  return rows;
}

async function withModel(folder: string, options: LoadOptions, use: (model: Model) => Promise<void>): Promise<void> {
  const model = await load(location(folder), options);
  try {
    await use(model);
  } finally {
    model.dispose();
  }
}

const PLANS: readonly (readonly [folder: string, options: LoadOptions])[] = [
  ["test/golden/gpt2-tiny", { plan: "reference" }],
  ["test/golden/llama-tiny", { plan: "reference" }],
  ["test/golden/llama-tiny", { plan: "reference", family: "tiled" }],
];

for (const [folder, options] of myTurns(PLANS)) {
  test(`${folder}, ${JSON.stringify(options)}: each sequence of a batch has the bits that it has alone`, () =>
    withModel(folder, options, async (plain) => {
      const edited = plain.withStages(composition(plain));
      const told = fourSequences(plain);
      const together = await run(edited, told);
      for (const [i, each] of told.entries()) {
        const [alone] = await run(edited, [each]);
        assert.is(together[i]?.length, DECODED + 1);
        assert.equal(together[i], alone, `sequence ${i}`);
      }
      // Not by chance: the settings make a difference.
      const [asFirst] = await run(edited, [{ ...(told[1] as Told), set: () => undefined }]);
      assert.not.equal(together[1], asFirst);
      const [unedited] = await run(plain, [told[3] as Told]);
      if (plain.device.software) assert.equal(together[3], unedited, "all stages off is the plain model");
      else unedited?.forEach((row, i) => assertClose(together[3]?.[i] as Float32Array, row, `row ${i}`, 1e-6));
    }));
}

for (const family of myTurns(["register", "tiled"] as const)) {
  test(`${family}: what a sequence contains, and how its stages are set, changes no bit of another`, () =>
    withModel("test/golden/gpt2-tiny", { family }, async (plain) => {
      const edited = plain.withStages(composition(plain));
      const told = fourSequences(plain);
      const before = await run(edited, told);
      const others = told.map((each, i) =>
        i === 1
          ? each
          : {
              ...each,
              tokens: each.tokens.map((token) => (token * 5 + i) % 97),
              set: told[(i + 1) % 4]?.set ?? each.set,
            },
      );
      const after = await run(edited, others);
      assert.equal(after[1], before[1]);
      assert.not.equal(after[0], before[0]);
    }));
}

test.run();
