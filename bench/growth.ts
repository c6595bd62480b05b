/**
 * How Sluice's decode grows: with the context, the batch and the model.
 *
 *   npx tsx bench/growth.ts [--rounds 5] [--longest 4096] [--adapter NAME] [--models FOLDER] [--only context|batch|model] [--cpu]
 *     [--out FOLDER]
 *
 * With --cpu the process's CPU time is measured instead of the wall clock: on a software device that is the work done,
 * regardless of other users of the machine. Rounds go through all points in turn, so that a neighbour's work does not fall on one of them alone; a point is the
 * median of its rounds. Writes bench/growth.json, bench/growth.svg and the tables of bench/growth.md, if it measured every
 * point that they hold, in as many rounds; else, or with --out, growth.json and growth.svg are written elsewhere.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { load, type Model } from "../src/index.ts";
import { measureCeilings } from "../src/profile/ceilings.ts";
import { median, medianInterval } from "../src/profile/statistics.ts";
import { type DecodeOptions, decode, prepareDecode } from "../src/runtime/decode.ts";
import type { Sequences } from "../src/runtime/sequences.ts";
import { placeOf } from "./keep-results.ts";
import { table } from "./peers/report.ts";
import { plot } from "./plot.ts";

/** A measured point of a curve. */
interface Point {
  readonly x: number;
  /** Milliseconds of a decode step: median over the rounds, and its 95 % interval. */
  readonly ms: number;
  readonly interval: readonly [low: number, high: number];
  /** Bytes of weights and cache that a step reads. */
  readonly bytes: number;
}

interface Growth {
  readonly date: string;
  readonly machine: string;
  readonly command?: string;
  readonly commit?: string;
  readonly node?: string;
  readonly load: number;
  readonly device: string;
  readonly rounds: number;
  readonly clock: "wall clock" | "CPU time";
  readonly read_gb_per_s: number;
  readonly context?: readonly Point[];
  readonly batch?: readonly Point[];
  readonly model?: readonly Point[];
}

/** Tokens of a run after the first, which is not timed. */
const DECODED = 16;
const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    longest: { type: "string", default: "4096" },
    adapter: { type: "string" },
    models: { type: "string", default: join(tmpdir(), "sluice-bench") },
    only: { type: "string" },
    cpu: { type: "boolean", default: false },
    out: { type: "string" },
  },
});
const rounds = Number(values.rounds);
const longest = Number(values.longest);
const loadBefore = loadavg()[0] as number;

const json = join(root, "bench/growth.json");
const committed = existsSync(json) ? (JSON.parse(readFileSync(json, "utf8")) as Growth) : null;
const before = values.only === undefined ? null : committed;
const wanted = (part: string) => values.only === undefined || values.only === part;
const model = await loadSynthetic("gpt2-tiny", { context: longest + 64 });
const { gpu, pipelines } = model.internals;
const ceilings = await measureCeilings(gpu, pipelines);
const growth: Growth = {
  ...before,
  date: new Date().toISOString().slice(0, 10),
  machine: `${cpus()[0]?.model ?? "unknown"}, ${cpus().length} cores`,
  command: ["npx tsx bench/growth.ts", ...process.argv.slice(2)].join(" "),
  commit: execFileSync("git", ["describe", "--always", "--dirty"], { cwd: root, encoding: "utf8" }).trim(),
  node: process.versions.node,
  load: loadBefore,
  device: model.device.name,
  rounds,
  clock: values.cpu ? "CPU time" : "wall clock",
  read_gb_per_s: ceilings.read_gb_per_s,
  ...(wanted("context") && { context: await contexts(model) }),
  ...(wanted("batch") && { batch: await batches(model) }),
};
model.dispose();
const grown: Growth = { ...growth, ...(wanted("model") && { model: await sizes() }) };
const place = placeOf({
  file: json,
  kept: committed ? rowsOf(committed, committed.rounds) : [],
  fresh: rowsOf(grown, committed?.rounds ?? 0),
  out: values.out,
  say: console.log,
});
writeFileSync(place, `${JSON.stringify(grown, null, 2)}\n`);
writeFileSync(place.replace(/json$/, "svg"), plotOf(grown));
if (place === json) {
  const page = join(root, "bench/growth.md");
  writeFileSync(page, withTables(readFileSync(page, "utf8"), tablesOf(grown)));
}
console.log(tablesOf(grown));

/** Names of the points, and of the rounds if there are enough. */
function rowsOf(growth: Growth, rounds: number): readonly string[] {
  const points = (["context", "batch", "model"] as const).flatMap((part) =>
    (growth[part] ?? []).map(({ x }) => `${part} ${x}`),
  );
  return [...points, ...(growth.rounds >= rounds ? [`${rounds} rounds`] : [])];
}

/** One long prompt that counts as cached, and sequences that hold beginnings of it: they share its cache. */
async function contexts(model: Model): Promise<readonly Point[]> {
  const lengths = [64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096].filter((at) => at <= longest);
  const [most = 64] = lengths.slice(-1);
  const sequences = await model.openSequences({
    context: most + DECODED + 1,
    sequences: lengths.length,
    slots: most + lengths.length * (DECODED + 2),
  });
  const text = someTokens(most + 1, model.config.vocab_size);
  const last = lengths.length - 1;
  // Zeros serve as well as keys and values that take minutes to compute: a step does the same work on them.
  for (let position = 0; position < most; position++) {
    sequences.slots.append(last);
    sequences.learn(last, position, text[position] as number);
  }
  const runs = lengths.map((length, sequence) => async () => {
    const tokens = text.slice(0, length + 1);
    const reused = sequences.reuse(sequence, tokens);
    if (reused !== length) throw new Error(`${reused} of ${length} tokens were cached`);
    return await stepTime(sequences, [{ sequence, tokens, reused }]);
  });
  const times = await inTurns(runs);
  const points = lengths.map((x, i) => point(x, times[i] ?? [], bytesOf(model, sequences, 1, x + DECODED / 2)));
  sequences.dispose();
  return points;
}

async function batches(model: Model): Promise<readonly Point[]> {
  const sizes = [1, 2, 3, 4, 6, 8, 12, 16];
  const prompt = 32;
  const sequences = await model.openSequences({ context: prompt + DECODED + 1, sequences: 16 });
  const runs = sizes.map((size) => async () => {
    const prompts = Array.from({ length: size }, (_, sequence) => {
      sequences.slots.truncate(sequence, 0);
      return { sequence, tokens: someTokens(prompt + sequence, model.config.vocab_size).slice(sequence), reused: 0 };
    });
    return await stepTime(sequences, prompts);
  });
  const times = await inTurns(runs);
  const points = sizes.map((x, i) => point(x, times[i] ?? [], bytesOf(model, sequences, x, prompt + DECODED / 2)));
  sequences.dispose();
  return points;
}

/** GPT-2s of one width with more and more layers; x is megabytes read per token. */
async function sizes(): Promise<readonly Point[]> {
  const layers = [2, 4, 8, 16, 32];
  const lanes: { readonly model: Model; readonly sequences: Sequences }[] = [];
  for (const count of layers) {
    const model = await loadSynthetic("gpt2-tiny", { layers: count });
    lanes.push({ model, sequences: await model.openSequences({ context: 64 }) });
  }
  const runs = lanes.map(({ model, sequences }) => async () => {
    sequences.slots.truncate(0, 0);
    const tokens = someTokens(32, model.config.vocab_size);
    return await stepTime(sequences, [{ sequence: 0, tokens, reused: 0 }]);
  });
  const times = await inTurns(runs);
  return lanes.map(({ model, sequences }, i) => {
    const bytes = bytesOf(model, sequences, 1, 32 + DECODED / 2);
    sequences.dispose();
    model.dispose();
    return point(bytes / 1e6, times[i] ?? [], bytes);
  });
}

/** Runs everything once to compile, then `rounds` times in turns. Milliseconds by run and round. */
async function inTurns(runs: readonly (() => Promise<number>)[]): Promise<readonly (readonly number[])[]> {
  for (const run of runs) await run();
  const times = runs.map((): number[] => []);
  for (let round = 0; round < rounds; round++) {
    const order = runs.map((_, i) => (round % 2 === 0 ? i : runs.length - 1 - i));
    for (const i of order) times[i]?.push(await (runs[i] as () => Promise<number>)());
    console.log(`round ${round + 1} of ${rounds}`);
  }
  return times;
}

/** Milliseconds of a decode step, from the first ids to the last. */
async function stepTime(sequences: Sequences, prompts: Parameters<typeof decode>[1]): Promise<number> {
  const sampling = { temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, seed: 0 };
  const options: DecodeOptions = { ...sampling, maxNewTokens: DECODED + 1, stopTokens: new Set() };
  await prepareDecode(sequences, prompts, options);
  let count = 0;
  let first = 0;
  for await (const _ of decode(sequences, prompts, options)) {
    if (++count === prompts.length) first = now();
  }
  return (now() - first) / DECODED;
}

/** Milliseconds of the chosen clock. */
function now(): number {
  if (!values.cpu) return performance.now();
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Weights and cache that a decode step of `batch` sequences at one position goes through. */
function bytesOf({ internals: { layout } }: Model, { executor }: Sequences, batch: number, position: number): number {
  const rows = Array.from({ length: batch }, (_, sequence) => ({ token_index: 0, position, slot: 0, sequence }));
  const outs = rows.map(({ sequence }, row) => ({ row, token_index: 0, sequence, position }));
  let bytes = 0;
  for (const { dispatch, cost } of executor.worksOf({ rows, outs }, "logits", "greedy")) {
    const { weights } = dispatch.bind;
    if (weights?.role === "weights") bytes += layout.bytesOfPart(weights.part);
    if (dispatch.readsCache) bytes += cost.bytes;
  }
  return bytes;
}

function point(x: number, times: readonly number[], bytes: number): Point {
  return { x, ms: median(times), interval: medianInterval(times), bytes };
}

async function loadSynthetic(shape: string, options: Readonly<Record<string, number>>): Promise<Model> {
  const name = [shape, ...Object.entries(options).map(([option, value]) => `${option}-${value}`)].join("-");
  const folder = join(values.models, name);
  if (!existsSync(join(folder, "config.json"))) {
    const script = join(root, "scripts/make-synthetic.mjs");
    const flags = Object.entries(options).flatMap(([option, value]) => [`--${option}`, String(value)]);
    execFileSync(process.execPath, [script, folder, "--shape", shape, ...flags], { stdio: "ignore" });
  }
  return await load(folder, values.adapter === undefined ? {} : { adapter: values.adapter });
}

function someTokens(count: number, vocabulary: number): readonly number[] {
  return Array.from({ length: count }, (_, i) => (i * 7919 + 13) % vocabulary);
}

/** Least squares of time over bytes: the fixed cost of a step, and the bytes per second. */
function line(points: readonly Point[]): { readonly base: number; readonly perByte: number } {
  const mean = (of: (point: Point) => number) => points.reduce((sum, one) => sum + of(one), 0) / points.length;
  const [x, y] = [mean(({ bytes }) => bytes), mean(({ ms }) => ms)];
  const perByte = mean((one) => (one.bytes - x) * (one.ms - y)) / mean((one) => (one.bytes - x) ** 2);
  return { base: y - perByte * x, perByte };
}

function tablesOf({
  device,
  machine,
  load,
  date,
  rounds,
  clock,
  read_gb_per_s,
  context,
  batch,
  model,
}: Growth): string {
  const parts = [
    `${device}, ${machine}, load ${load.toFixed(1)} at the start, ${date}; ${rounds} rounds, ${clock}; reads at most ${read_gb_per_s.toFixed(2)} GB/s.`,
  ];
  const time = ({ ms, interval: [low, high] }: Point) => `${ms.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`;
  const fitted = (points: readonly Point[]) => {
    const { base, perByte } = line(points);
    const least = points[0]?.bytes ?? 0;
    const off = points.map(({ ms, bytes }) => ms / (base + perByte * bytes) - 1);
    const worst = off.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a), 0);
    const where = points[off.indexOf(worst)]?.x ?? 0;
    return {
      text: `Line: ${(base + perByte * least).toFixed(2)} ms at the first point, then further bytes at ${(1e-6 / perByte).toFixed(2)} GB/s, ${(1e-4 / perByte / read_gb_per_s).toFixed(0)} % of the read ceiling; farthest from it is ${where.toFixed(0)}, by ${(100 * worst).toFixed(0)} %.`,
      off,
    };
  };
  const percent = (value: number | undefined) => `${(100 * (value ?? 0)).toFixed(0)} %`;
  if (context) {
    const { text, off } = fitted(context);
    const rows = context.map((one, i) => [String(one.x), time(one), (one.bytes / 1e6).toFixed(2), percent(off[i])]);
    parts.push("### Context", text, table(["tokens in the cache", "ms per token", "MB read", "off the line"], rows));
  }
  if (batch) {
    const rows = batch.map((one) => [String(one.x), time(one), ((1000 * one.x) / one.ms).toFixed(1)]);
    parts.push("### Batch", table(["sequences", "ms per step", "tokens/s together"], rows));
  }
  if (model) {
    const { text, off } = fitted(model);
    const rows = model.map((one, i) => [
      one.x.toFixed(1),
      time(one),
      (one.bytes / one.ms / 1e6).toFixed(2),
      percent(off[i]),
    ]);
    parts.push("### Model", text, table(["MB read per token", "ms per token", "GB/s", "off the line"], rows));
  }
  return parts.join("\n\n");
}

function plotOf({ context = [], batch = [], model = [] }: Growth): string {
  const over = (points: readonly Point[]) => points.map(({ x, ms }) => [x, ms] as const);
  const expected = (points: readonly Point[]) => {
    const { base, perByte } = line(points);
    return points.map(({ x, bytes }) => [x, base + perByte * bytes] as const);
  };
  const byBytes = "base + bytes / rate";
  const measured = "measured";
  return plot([
    {
      title: "Context",
      x: "tokens in the cache",
      y: "ms per token",
      series: [
        { name: measured, points: over(context) },
        { name: byBytes, points: expected(context), expected: true },
      ],
    },
    {
      title: "Batch",
      x: "sequences",
      y: "tokens/s together",
      series: [{ name: measured, points: batch.map(({ x, ms }) => [x, (1000 * x) / ms] as const) }],
    },
    {
      title: "Model",
      x: "MB read per token",
      y: "ms per token",
      series: [
        { name: measured, points: over(model) },
        { name: byBytes, points: expected(model), expected: true },
      ],
    },
  ]);
}

/** Puts tables between the page's two marks. */
function withTables(text: string, tables: string): string {
  const [start, end] = ["<!-- measured -->", "<!-- end -->"];
  const [head, rest] = text.split(start);
  const tail = rest?.split(end)[1];
  if (head === undefined || tail === undefined) throw new Error(`bench/growth.md lacks ${start} or ${end}`);
  return `${head}${start}\n\n${tables}\n\n${end}${tail}`;
}
