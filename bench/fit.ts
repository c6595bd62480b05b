/**
 * What a fit costs: AurA over 1,000 sentences over a plain prefill of the same sentences, in interleaved rounds of one
 * run, with the interval in which the median ratio lies. Lab book: bench/fit.md.
 *
 *   npx tsx bench/fit.ts [--rounds 15] [--max-tokens 24] [--model weights/gpt2-stories] [--adapter swiftshader]
 *
 * The prefill packs the sentences into the same steps, without a head and without captures, and waits for the device once,
 * at the end; on the reference plan, as fits run, and on the plan that a prompt is run with. Beside the wall clock the
 * process's CPU time is compared: on a software device that is the work done, regardless of other users of the machine.
 */
import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { MAX_ROWS } from "../src/compile/lower.ts";
import { fitAura, load, type Model } from "../src/index.ts";
import { median, medianInterval } from "../src/profile/statistics.ts";
import type { Sequences } from "../src/runtime/sequences.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "15" },
    "max-tokens": { type: "string", default: "24" },
    model: { type: "string", default: "weights/gpt2-stories" },
    adapter: { type: "string", default: "swiftshader" },
  },
});

const SENTENCES = 1000;
const SIDE_BY_SIDE = 64;

const { adapter } = values;
const reference = await load(values.model, { plan: "reference", adapter });
const usual = await load(values.model, { adapter });

async function sentencesOf(path: string): Promise<readonly (readonly number[])[]> {
  const lines = (await readFile(path, "utf8")).split("\n").filter((line) => line !== "");
  return lines
    .slice(0, SENTENCES / 2)
    .map((line) =>
      reference.encode((JSON.parse(line) as { text: string }).text).slice(0, Number(values["max-tokens"])),
    );
}

const positive = await sentencesOf("test/data/plays.jsonl");
const negative = await sentencesOf("test/data/tales.jsonl");
const sentences = [...positive, ...negative];
const tokens = sentences.reduce((sum, { length }) => sum + length, 0);
const longest = Math.max(...sentences.map(({ length }) => length));

/** Sentences that fill a step. */
function* groups(rowsOfStep: number): Generator<readonly (readonly number[])[]> {
  let group: (readonly number[])[] = [];
  let rows = 0;
  for (const sentence of sentences) {
    if (group.length === SIDE_BY_SIDE || rows + sentence.length > rowsOfStep) {
      yield group;
      group = [];
      rows = 0;
    }
    group.push(sentence);
    rows += sentence.length;
  }
  yield group;
}

async function prefill(model: Model): Promise<void> {
  const sequences = await model.openSequences({
    sequences: SIDE_BY_SIDE,
    context: longest,
    slots: Math.max(longest, MAX_ROWS),
  });
  const run = async (group: readonly (readonly number[])[], byteLength: number): Promise<void> => {
    const feeds = group.map((tokens, sequence) => ({ sequence, tokens, outs: "none" as const }));
    const reads = byteLength === 0 ? [] : [{ role: { role: "tokens" } as const, offset: 0, byteLength }];
    for await (const _ of sequences.feed(feeds, { head: "none", tail: "none", reads: () => reads }));
    empty(sequences, group.length);
  };
  for (const group of groups(sequences.plan.chunkRows)) await run(group, 0);
  await run([[0]], 4);
  sequences.dispose();
}

function empty({ slots }: Sequences, count: number): void {
  for (let sequence = 0; sequence < count; sequence++) slots.truncate(sequence, 0);
}

const lanes = {
  "prefill, reference plan": () => prefill(reference),
  "prefill, usual plan": () => prefill(usual),
  "fit aura": () => fitAura(reference, { positive, negative }),
} as const;
type Lane = keyof typeof lanes;
const names = Object.keys(lanes) as Lane[];
const clocks = ["wall clock", "CPU time"] as const;
type Times = Record<(typeof clocks)[number], number>;
const times: Record<Lane, Times[]> = { "prefill, reference plan": [], "prefill, usual plan": [], "fit aura": [] };

async function timed(lane: Lane): Promise<Times> {
  const [started, cpu] = [performance.now(), process.cpuUsage()];
  await lanes[lane]();
  const { user, system } = process.cpuUsage(cpu);
  return { "wall clock": performance.now() - started, "CPU time": (user + system) / 1000 };
}

for (const name of names) await timed(name);
for (let round = 0; round < Number(values.rounds); round++) {
  const order = names.map((_, i) => names[(i + round) % names.length] as Lane);
  for (const name of order) times[name].push(await timed(name));
}

console.log(
  `${reference.device.name}, ${values.model}, ${sentences.length} sentences, ${tokens} tokens, ${values.rounds} rounds`,
);
for (const clock of clocks) {
  console.log(clock);
  for (const name of names) {
    const perToken = median(times[name].map((time) => time[clock])) / tokens;
    console.log(`  ${name.padEnd(24)} ${(1000 * perToken).toFixed(1)} µs a token`);
  }
  for (const name of names.slice(0, 2)) {
    const ratios = times["fit aura"].map((time, i) => time[clock] / (times[name][i]?.[clock] ?? Number.NaN));
    const [low, high] = medianInterval(ratios);
    console.log(`  fit aura over ${name}: ${median(ratios).toFixed(3)} (${low.toFixed(3)} to ${high.toFixed(3)})`);
  }
}
reference.dispose();
usual.dispose();
