/**
 * What different bundles cost in a running batch: decode of 16 sequences with 16 bundles, of 64 with 64 strengths of one, and
 * of 16 with one bundle while 1, 16 and 256 are registered, each beside plain requests of the same batch, in turns.
 *
 *   npm run bench -- --serve [MODEL] [--rounds N] [--new-tokens N] [--wall]
 *
 * MODEL is a folder with a GPT-2 (default: weights/gpt2-stories; `node scripts/make-synthetic.mjs OUT --shape gpt2-124m`
 * makes a larger one). On a software device the process's CPU time is compared, which is the work done, regardless of
 * other users of the machine; with --wall, and on GPUs, the clock.
 */
import { parseArgs } from "node:util";
import { storeFloat32 } from "../src/formats/safetensors.ts";
import { type Batch, type BatchIntervention, type Bundle, load } from "../src/index.ts";
import { baseOf } from "../src/interventions/compose.ts";
import { median, medianInterval } from "../src/profile/statistics.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "11" },
    "new-tokens": { type: "string", default: "24" },
    wall: { type: "boolean", default: false },
  },
});
const rounds = Number(values.rounds);
const newTokens = Number(values["new-tokens"]);
const model = await load(positionals[0] ?? "weights/gpt2-stories");
const byClock = values.wall || !model.device.software;
const { hidden_size: d, num_hidden_layers, vocab_size } = model.config;
const layers = Array.from({ length: num_hidden_layers }, (_, layer) => layer);

/** A vector of its own in every layer: what steering servers serve. */
function steering(index: number): Bundle {
  const direction = (layer: number) =>
    storeFloat32(
      Float32Array.from({ length: d }, (_, i) => Math.sin(0.7 * i + layer + 3 * index)),
      [d],
    );
  return {
    file: `${index}.safetensors`,
    manifest: {
      name: `vector ${index}`,
      base: baseOf(model.config),
      stages: [{ id: "push", kind: "affine", method: "addition", site: "resid_post", layers, strength: 0.01 }],
    },
    tensors: new Map(layers.map((layer) => [`push.${layer}.direction`, direction(layer)])),
    metadata: new Map(),
  };
}

/** A batch with that many bundles registered, opened for what the first needs. */
async function open(sequences: number, bundles: number): Promise<Batch> {
  const own = model.with([steering(0)]);
  const batch = await own.batch({ sequences, context: newTokens + 8 });
  for (let i = 1; i < bundles; i++) await batch.addBundle(`${i}`, steering(i));
  return batch;
}

/** Milliseconds per token of as many requests as there are sequences, all begun at once. */
async function time(
  batch: Batch,
  interventionsOf: (sequence: number) => readonly BatchIntervention[],
): Promise<number> {
  const requests = Array.from({ length: batch.sequences }, (_, i) =>
    batch.generate([(31 * i + 7) % vocab_size, (17 * i + 3) % vocab_size], {
      maxNewTokens: newTokens,
      stopTokens: [],
      interventions: interventionsOf(i),
    }),
  );
  const [clock, cpu] = [performance.now(), process.cpuUsage()];
  await Promise.all(requests.map((request) => request.result()));
  const { user, system } = process.cpuUsage(cpu);
  return (byClock ? performance.now() - clock : (user + system) / 1000) / (batch.sequences * newTokens);
}

interface Case {
  readonly name: string;
  readonly batch: Batch;
  readonly of: (sequence: number) => readonly BatchIntervention[];
}

const plain = () => [];
const wide = await open(16, 256);
const [few, one] = [await open(16, 16), await open(16, 1)];
const strengths = await open(64, 1);
const first = () => [{ bundle: "0" }];
/** Each with the plain requests that it is compared with. */
const pairs: readonly (readonly [Case, Case])[] = [
  [
    { name: "16 sequences, 16 bundles", batch: few, of: (i) => [{ bundle: `${i}` }] },
    { name: "16 plain", batch: few, of: plain },
  ],
  [
    {
      name: "64 sequences, 64 strengths of one bundle",
      batch: strengths,
      of: (i) => [{ bundle: "0", stages: { push: { strength: (i + 1) / 6400 } } }],
    },
    { name: "64 plain", batch: strengths, of: plain },
  ],
  ...(
    [
      [one, 1],
      [few, 16],
      [wide, 256],
    ] as const
  ).map(
    ([batch, count]) =>
      [
        { name: `16 sequences, one bundle of ${count} registered`, batch, of: first },
        { name: "16 plain", batch, of: plain },
      ] as const,
  ),
];
const [ratios, costs] = [pairs.map((): number[] => []), pairs.map((): number[] => [])];
for (let round = -1; round < rounds; round++) {
  for (const [i, [edited, beside]] of pairs.entries()) {
    // The order alternates, so that a machine that grows slower favours neither.
    const order = round % 2 === 0 ? [edited, beside] : [beside, edited];
    const times = new Map<Case, number>();
    for (const each of order) times.set(each, await time(each.batch, each.of));
    if (round < 0) continue;
    ratios[i]?.push((times.get(beside) as number) / (times.get(edited) as number));
    costs[i]?.push(times.get(edited) as number);
  }
}
const unit = byClock ? "ms per token" : "ms of CPU per token";
console.log(`${model.device.description}, ${rounds} rounds, ${newTokens} new tokens each`);
console.log(`\n| case | ${unit} | speed over plain, median | 95 % of it |\n| --- | --- | --- | --- |`);
for (const [i, [{ name }]] of pairs.entries()) {
  const [low, high] = medianInterval(ratios[i] as number[]);
  const middle = median(ratios[i] as number[]);
  const cells = [
    name,
    median(costs[i] as number[]).toFixed(3),
    middle.toFixed(3),
    `${low.toFixed(3)} to ${high.toFixed(3)}`,
  ];
  console.log(`| ${cells.join(" | ")} |`);
}
for (const batch of [wide, few, one, strengths]) batch.dispose();
model.dispose();
