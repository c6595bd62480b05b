/**
 * What a server costs over `generateBatch`, and what different bundles cost in a running batch: 16 clients of a server, who
 * read streams, and a running batch of 16, each beside `generateBatch` of the same 16 prompts; decode of 16 sequences with 16
 * bundles, of 64 with 64 strengths of one, and of 16 with one bundle while 1, 16 and 256 are registered, each beside plain
 * requests of the same batch. All in turns.
 *
 *   npm run bench -- --serve [MODEL] [--rounds N] [--new-tokens N] [--only TEXT] [--wall]
 *
 * MODEL is a folder with a GPT-2 (default: weights/gpt2-stories; `node scripts/make-synthetic.mjs OUT --shape gpt2-124m`
 * makes a larger one). On a software device the process's CPU time is compared, which is the work done, regardless of
 * other users of the machine; with --wall, and on GPUs, the clock. The clients are a process of their own. --only takes the
 * rows whose name has TEXT in it.
 */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type Batch, type BatchIntervention, type GenerateResult, load } from "../src/index.ts";
import { median, medianInterval } from "../src/profile/statistics.ts";
import { serveModel } from "../src/serve/node-serve.ts";
import type { Landed, Volley } from "./serve-clients.ts";
import { steering } from "./steering.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "11" },
    "new-tokens": { type: "string", default: "24" },
    only: { type: "string", default: "" },
    wall: { type: "boolean", default: false },
  },
});
const rounds = Number(values.rounds);
const newTokens = Number(values["new-tokens"]);
const model = await load(positionals[0] ?? "weights/gpt2-stories");
const byClock = values.wall || !model.device.software;
const { vocab_size } = model.config;

/** A batch with that many bundles registered, opened for what the first needs. */
async function open(sequences: number, bundles: number): Promise<Batch> {
  const own = model.with([steering(model, 0)]);
  const batch = await own.batch({ sequences, context: newTokens + 8 });
  for (let i = 1; i < bundles; i++) await batch.addBundle(`${i}`, steering(model, i));
  return batch;
}

interface Case {
  readonly name: string;
  /** Makes tokens. @returns how many */
  run(): Promise<number>;
}

/** Milliseconds per token. */
async function time(work: Case): Promise<number> {
  const [clock, cpu] = [performance.now(), process.cpuUsage()];
  const tokens = await work.run();
  const { user, system } = process.cpuUsage(cpu);
  return (byClock ? performance.now() - clock : (user + system) / 1000) / tokens;
}

/** A prompt of two ids that no other sequence has. */
const promptOf = (i: number): number[] => [(31 * i + 7) % vocab_size, (17 * i + 3) % vocab_size];
const CLIENTS = 16;
const prompts = Array.from({ length: CLIENTS }, (_, i) => promptOf(i));

function count(results: readonly GenerateResult[]): number {
  return results.reduce((sum, { tokens }) => sum + tokens.length, 0);
}

/** As many requests as there are sequences, all begun at once. */
function inBatch(name: string, batch: Batch, of: (sequence: number) => readonly BatchIntervention[] = () => []): Case {
  const run = async () => {
    const requests = Array.from({ length: batch.sequences }, (_, i) =>
      batch.generate(promptOf(i), { maxNewTokens: newTokens, stopTokens: [], interventions: of(i) }),
    );
    return count(await Promise.all(requests.map((request) => request.result())));
  };
  return { name, run };
}

const session = await model.session({ sequences: CLIENTS, context: newTokens + 8 });
const alone: Case = {
  name: "generateBatch of 16",
  run: async () => count(await session.generateBatch(prompts, { maxNewTokens: newTokens })),
};
const plainBatch = await model.batch({ sequences: CLIENTS, context: newTokens + 8 });
const runningBatch: Case = {
  name: "a running batch of 16",
  run: async () => {
    const requests = prompts.map((prompt) => plainBatch.generate(prompt, { maxNewTokens: newTokens }));
    return count(await Promise.all(requests.map((request) => request.result())));
  },
};
const server = await serveModel(model, {
  ...{ name: "measured", host: "127.0.0.1", port: 0, sequences: CLIENTS, context: newTokens + 8 },
  ...{ bundles: new Map(), origins: [], allowUploads: false },
  onFault: (error) => console.error(error),
});
const clients = fork(fileURLToPath(new URL("serve-clients.ts", import.meta.url)), {
  execArgv: ["--import", import.meta.resolve("tsx")],
});
const served: Case = {
  name: "a server under 16 clients",
  run: () =>
    new Promise((resolve, reject) => {
      clients.once("exit", () => reject(new Error("The clients' process ended")));
      clients.once("message", ({ tokens }: Landed) => {
        clients.removeAllListeners("exit");
        resolve(tokens);
      });
      const bodies = prompts.map((prompt) => ({ model: "measured", prompt, max_tokens: newTokens, temperature: 0 }));
      clients.send({ address: server.address, bodies } satisfies Volley);
    }),
};

/** Opened when a row first needs them. */
const opened: Batch[] = [];
function lazily(sequences: number, bundles: number): () => Promise<Batch> {
  let batch: Promise<Batch> | undefined;
  return () => {
    batch ??= open(sequences, bundles).then((each) => {
      opened.push(each);
      return each;
    });
    return batch;
  };
}

const few = lazily(16, 16);
const first = () => [{ bundle: "0" }];
type Row = readonly [name: string, pair: (name: string) => Promise<readonly [Case, Case]>];
/** Each case with what it is compared with. */
const rows: readonly Row[] = [
  [served.name, async () => [served, alone]],
  [runningBatch.name, async () => [runningBatch, alone]],
  [
    "16 sequences, 16 bundles",
    async (name) => [inBatch(name, await few(), (i) => [{ bundle: `${i}` }]), inBatch("16 plain", await few())],
  ],
  [
    "64 sequences, 64 strengths of one bundle",
    async (name) => {
      const batch = await open(64, 1);
      opened.push(batch);
      const strengths = (i: number) => [{ bundle: "0", stages: { push: { strength: (i + 1) / 6400 } } }];
      return [inBatch(name, batch, strengths), inBatch("64 plain", batch)];
    },
  ],
  ...[lazily(16, 1), few, lazily(16, 256)].map(
    (batch, i): Row => [
      `16 sequences, one bundle of ${[1, 16, 256][i]} registered`,
      async (name) => [inBatch(name, await batch(), first), inBatch("16 plain", await batch())],
    ],
  ),
];
const pairs: (readonly [Case, Case])[] = [];
for (const [name, pair] of rows) if (name.includes(values.only)) pairs.push(await pair(name));
const [ratios, costs] = [pairs.map((): number[] => []), pairs.map((): number[] => [])];
for (let round = -1; round < rounds; round++) {
  for (const [i, [edited, beside]] of pairs.entries()) {
    // The order alternates, so that a machine that grows slower favours neither.
    const order = round % 2 === 0 ? [edited, beside] : [beside, edited];
    const times = new Map<Case, number>();
    for (const each of order) times.set(each, await time(each));
    if (round < 0) continue;
    ratios[i]?.push((times.get(beside) as number) / (times.get(edited) as number));
    costs[i]?.push(times.get(edited) as number);
  }
}
const unit = byClock ? "ms per token" : "ms of CPU per token";
console.log(`${model.device.description}, ${rounds} rounds, ${newTokens} new tokens each`);
console.log(`\n| case | ${unit} | beside it | speed over that, median | 95 % of it |\n| --- | --- | --- | --- | --- |`);
for (const [i, [{ name }, beside]] of pairs.entries()) {
  const [low, high] = medianInterval(ratios[i] as number[]);
  const middle = median(ratios[i] as number[]);
  const cells = [
    name,
    median(costs[i] as number[]).toFixed(3),
    beside.name,
    middle.toFixed(3),
    `${low.toFixed(3)} to ${high.toFixed(3)}`,
  ];
  console.log(`| ${cells.join(" | ")} |`);
}
clients.disconnect();
await server.drain();
session.dispose();
for (const batch of [plainBatch, ...opened]) batch.dispose();
model.dispose();
