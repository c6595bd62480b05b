/**
 * What interventions cost: prefill and decode of an edited model over those of the plain one, in interleaved pairs of one
 * run, with the interval in which the median ratio lies.
 *
 *   node scripts/make-synthetic.mjs OUT --shape gpt2-124m
 *   npx tsx bench/interventions.ts OUT [--pairs 30] [--only NAME] [--cpu]
 *
 * With --cpu the process's CPU time is compared instead of the wall clock: on a software device that is the work done,
 * regardless of other users of the machine.
 */
import { parseArgs } from "node:util";
import { load, type Model } from "../src/index.ts";
import { listDestinations, listSources, visibleSources } from "../src/interventions/edges.ts";
import type { EdgeMaskStage, MaskedEdge, Stage } from "../src/interventions/stage.ts";
import { median, medianInterval } from "../src/profile/statistics.ts";
import type { Sequences } from "../src/runtime/sequences.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    pairs: { type: "string", default: "30" },
    only: { type: "string" },
    cpu: { type: "boolean", default: false },
  },
});
const [folder] = positionals;
if (folder === undefined) throw new Error("Name a folder with a GPT-2: see the head of this file");

const PROMPT = 16;
const DECODED = 4;

const plain = await load(folder);
const { hidden_size: d, intermediate_size: f, num_hidden_layers } = plain.config;
const layers = Array.from({ length: num_hidden_layers }, (_, layer) => layer);
const wave = (length: number, phase: number, size: number) =>
  Float32Array.from({ length }, (_, i) => size * Math.sin(i * 0.7 + phase));

const aura: Stage = {
  id: "aura",
  kind: "neuron_scale",
  site: "mlp_pre",
  layers,
  positions: "all",
  strength: 1,
  values: new Map(layers.map((layer) => [layer, { scale: wave(f, layer, 0.5).map((x) => x + 0.5) }])),
};
const ace: Stage = {
  id: "ace",
  kind: "affine",
  method: "ace",
  site: "resid_post",
  layers,
  positions: "all",
  gate: "identity",
  alpha: 0.5,
  strength: 1,
  values: new Map(layers.map((layer) => [layer, { direction: wave(d, layer, 1), reference: wave(d, layer + 1, 1) }])),
};

/** About `count` edges, spread over the graph. */
function edges(count: number): EdgeMaskStage {
  const all: MaskedEdge[] = [];
  listDestinations(plain.config, "heads").forEach((destination, index) => {
    for (let source = 0; source < visibleSources(plain.config, destination); source++) {
      all.push({ destination: index, source, value: count >= 1e9 ? 0.5 : 0 });
    }
  });
  const every = Math.max(1, Math.floor(all.length / count));
  return {
    id: "edges",
    kind: "edge_mask",
    destinations: "heads",
    attn_bias: "per_head",
    replace: { attn: "constants", mlp: "zero", logits: "zero" },
    edges: all.filter((_, i) => i % every === every - 1),
    constants: wave(listSources(plain.config).length * d, 0, 1),
    strength: 1,
  };
}

const bundles: Readonly<Record<string, readonly Stage[]>> = {
  "AurA on every MLP": [aura],
  "ACE at every layer": [ace],
  "12 edges": [edges(12)],
  "100 edges": [edges(100)],
  "all together": [edges(12), aura, ace],
  "dense mask": [edges(1e9)],
};

const open = (model: Model): Promise<Sequences> => model.openSequences({ context: PROMPT + DECODED });
const clock = (): number => {
  if (!values.cpu) return performance.now();
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

async function timed(sequences: Sequences, tokens: readonly number[]): Promise<number> {
  const started = clock();
  const steps = sequences.feed([{ sequence: 0, tokens, outs: "last" }], {
    head: "logits",
    tail: "greedy",
    reads: () => [{ role: { role: "tokens" }, offset: 0, byteLength: 4 }],
  });
  for await (const _ of steps);
  return clock() - started;
}

async function measure(sequences: Sequences): Promise<{ readonly prefill: number; readonly decode: number }> {
  sequences.slots.truncate(0, 0);
  sequences.beginPrompt(0, PROMPT);
  const prompt = Array.from({ length: PROMPT }, (_, i) => (i * 7919) % plain.config.vocab_size);
  const prefill = await timed(sequences, prompt);
  let decode = 0;
  for (let i = 0; i < DECODED; i++) decode += await timed(sequences, [i + 5]);
  return { prefill, decode };
}

const base = await open(plain);
await measure(base);
console.log(`${plain.device.name}, ${values.pairs} pairs, ${values.cpu ? "CPU time" : "wall clock"}`);
for (const [name, stages] of Object.entries(bundles)) {
  if (values.only !== undefined && values.only !== name) continue;
  const edited = await open(plain.withStages({ stages, warnings: [] }));
  await measure(edited);
  const ratios = { prefill: [] as number[], decode: [] as number[] };
  for (let i = 0; i < Number(values.pairs); i++) {
    const order = i % 2 === 0 ? [base, edited] : [edited, base];
    const results = new Map<Sequences, { readonly prefill: number; readonly decode: number }>();
    for (const lane of order) results.set(lane, await measure(lane));
    for (const phase of ["prefill", "decode"] as const) {
      ratios[phase].push((results.get(edited)?.[phase] ?? Number.NaN) / (results.get(base)?.[phase] ?? Number.NaN));
    }
  }
  const text = (list: readonly number[]) => {
    const [low, high] = medianInterval(list);
    return `${median(list).toFixed(3)} (${low.toFixed(3)} to ${high.toFixed(3)})`;
  };
  console.log(`${name.padEnd(20)} decode ${text(ratios.decode)}   prefill ${text(ratios.prefill)}`);
  edited.dispose();
}
base.dispose();
plain.dispose();
