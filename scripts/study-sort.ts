/**
 * The numbers of docs/study-sort.md: how far the attribution of gpt-nano-sort's 82 edges agrees with cutting each of them,
 * and which of them can all be cut while all 729 inputs are still sorted.
 *
 *   npx tsx scripts/study-sort.ts attribution [--zero] [--all] [--svg FILE]
 *   npx tsx scripts/study-sort.ts circuit [--zero] [--all] [--out BUNDLE]
 *
 * Losses and gradients are those over every seventh input, or with --all over all. A cut source is replaced by its mean over all inputs and positions, or with --zero by nothing. The search takes
 * edges away, those first to which the loss is least sensitive (the size of its gradient at the cuts made so far), and puts back those without which an input is not sorted any more. It tries several at once, twice as many
 * after a success and half as many after a failure.
 */

import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { recordOf } from "../src/cli/run-record.ts";
import { storeFloat32 } from "../src/formats/safetensors.ts";
import { type Bundle, load, openAttribution, type Session, writeBundle } from "../src/index.ts";
import { baseOf } from "../src/interventions/compose.ts";
import {
  destinationName,
  listDestinations,
  listSources,
  sourceName,
  visibleSources,
} from "../src/interventions/edges.ts";
import { engineVersion } from "../src/kernels/engine-version.gen.ts";
import { scatter } from "./svg.ts";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { zero: { type: "boolean" }, all: { type: "boolean" }, out: { type: "string" }, svg: { type: "string" } },
});

/** An edge by its names, and its index into a mask. */
interface Edge {
  readonly source: string;
  readonly destination: string;
  readonly index: number;
}

const LETTERS = 6;
/** A third of the inputs at a time. */
const sessionOptions = { sequences: 243, context: 2 * LETTERS - 1, live: false };
const inputs = Array.from({ length: 3 ** LETTERS }, (_, i) =>
  Array.from({ length: LETTERS }, (_, place) => Math.floor(i / 3 ** place) % 3),
);
const sorted = inputs.map((letters) => [...letters].sort());

const began = new Date();
const model = await load("weights/gpt-nano-sort");
const { config } = model;
const [sources, destinations] = [listSources(config), listDestinations(config, "heads")];
const edges = destinations.flatMap((destination, d) =>
  sources.slice(0, visibleSources(config, destination)).map((source, s): Edge => {
    return { source: sourceName(source), destination: destinationName(destination), index: d * sources.length + s };
  }),
);
const shape = [destinations.length, sources.length] as const;

// The context ends with the fifth sorted letter, so five of the six predictions have a loss here.
const texts = inputs.map((letters, i) => [...letters, ...(sorted[i] as number[])].slice(0, 2 * LETTERS - 1));
const single = await openAttribution(model, texts, { scoreFrom: LETTERS });
const judged = options.all ? texts : texts.filter((_, i) => i % 7 === 0);
const few = await openAttribution(model, judged, { scoreFrom: LETTERS });
const constants = options.zero ? undefined : await single.means();
const [part] = positionals;
if (part === "attribution") await compareAttribution();
else if (part === "circuit") await findCircuit();
else
  throw new Error(
    "Usage: npx tsx scripts/study-sort.ts attribution|circuit [--zero] [--all] [--out BUNDLE] [--svg FILE]",
  );
const words = ["npx", "tsx", "scripts/study-sort.ts", ...process.argv.slice(2)];
const { date, host, command, sluice, device } = recordOf(words, engineVersion, model.device.name, began);
console.log(`${date}, ${device} on ${host}, Sluice ${sluice}: ${command}`);
for (const attribution of [single, few]) attribution.dispose();
model.dispose();

/** A mask without some edges, and what takes their place. */
function maskOf(cut: Iterable<Edge>) {
  const data = new Float32Array(shape[0] * shape[1]).fill(1);
  for (const { index } of cut) data[index] = 0;
  return { ...(constants && { constants }), mask: { data, shape } };
}

async function compareAttribution(): Promise<void> {
  const whole = await few.run(maskOf([]));
  const batch = await openAttribution(model, judged, { scoreFrom: LETTERS, masks: 2 });
  const exact: number[] = [];
  for (let first = 0; first < edges.length; first += batch.masks) {
    const some = edges.slice(first, first + batch.masks).map((edge) => maskOf([edge]));
    exact.push(...(await batch.losses(some)).map((loss) => loss - whole.loss));
    process.stderr.write(`${exact.length} of ${edges.length} edges\r`);
  }
  batch.dispose();
  const estimated = edges.map(({ index }) => -(whole.gradient.data[index] as number));
  const agreeing = (least: number): string => {
    const counted = [...edges.keys()].filter((i) => Math.abs(exact[i] as number) >= least);
    const same = counted.filter((i) => Math.sign(exact[i] as number) === Math.sign(estimated[i] as number));
    return `${same.length} of ${counted.length}`;
  };
  const [linear, rank] = [pearson(estimated, exact), pearson(ranks(estimated), ranks(exact))];
  console.log(`loss ${whole.loss.toExponential(3)} nats, ${edges.length} edges, replaced by ${filling()}`);
  console.log(`Pearson ${linear.toFixed(3)}, Spearman ${rank.toFixed(3)}`);
  console.log(`same sign: ${agreeing(0)}; of effects of at least 0.01 nats: ${agreeing(0.01)}`);
  const order = [...edges.keys()].sort((a, b) => (exact[b] as number) - (exact[a] as number));
  for (const i of [...order.slice(0, 8), ...order.slice(-3)]) {
    const { source, destination } = edges[i] as Edge;
    const [measured, estimate] = [exact[i] as number, estimated[i] as number];
    console.log(`  ${source} → ${destination}: measured ${measured.toFixed(4)}, estimated ${estimate.toFixed(4)}`);
  }
  if (options.svg === undefined) return;
  const plot = scatter({
    title: "gpt-nano-sort: attribution of each edge against cutting it",
    x: "size of the estimated change of the loss, nats; hollow: of the other sign",
    y: "size of the measured change, nats",
    points: edges.map(({ source, destination }, i) => {
      return { x: estimated[i] as number, y: exact[i] as number, label: `${source} → ${destination}` };
    }),
  });
  await writeFile(options.svg, plot);
}

async function findCircuit(): Promise<void> {
  const cut = new Set<Edge>();
  const needed = new Set<Edge>();
  const estimates = async (): Promise<(edge: Edge) => number> => {
    const { gradient } = await few.run(maskOf(cut));
    return ({ index }) => Math.abs(gradient.data[index] as number);
  };
  let sensitivity = await estimates();
  let together = 8;
  const session = await model.with([bundleOf(edges, 1)]).session(sessionOptions);
  console.log(`${await sortedCount(session)} of ${inputs.length} inputs are sorted by the whole model`);
  for (;;) {
    const left = edges.filter((edge) => !cut.has(edge) && !needed.has(edge));
    if (left.length === 0) break;
    const tried = left.sort((a, b) => sensitivity(a) - sensitivity(b)).slice(0, together);
    const set = (value: number): void =>
      session.set("circuit", { edges: tried.map(({ source, destination }) => [source, destination, value]) });
    set(0);
    if ((await sortedCount(session)) === inputs.length) {
      for (const edge of tried) cut.add(edge);
      together *= 2;
      sensitivity = await estimates();
    } else {
      set(1);
      if (tried.length === 1) for (const edge of tried) needed.add(edge);
      together = Math.max(1, tried.length >> 1);
    }
    process.stderr.write(`${cut.size} cut, ${needed.size} needed, of ${edges.length}\r`);
  }
  session.dispose();

  const bundle = bundleOf(
    edges.filter((edge) => cut.has(edge)),
    0,
  );
  const check = await model.with([bundle]).session(sessionOptions);
  const count = await sortedCount(check);
  check.dispose();
  console.log(
    `${cut.size} of ${edges.length} edges cut, replaced by ${filling()}: ${count} of ${inputs.length} sorted`,
  );
  for (const destination of new Set([...needed].map((edge) => edge.destination))) {
    const kept = edges.filter((edge) => needed.has(edge) && edge.destination === destination);
    console.log(`  ${destination} ← ${kept.map(({ source }) => source).join(", ")}`);
  }
  if (options.out) await writeFile(options.out, writeBundle(bundle));
}

function filling(): string {
  return options.zero ? "zero" : "means";
}

/** How many inputs greedy decoding sorts; stops counting at the first part that holds a failure. */
async function sortedCount(session: Session): Promise<number> {
  let count = 0;
  for (let first = 0; first < inputs.length; first += session.sequences) {
    const some = inputs.slice(first, first + session.sequences);
    const results = await session.generateBatch(some, { maxNewTokens: LETTERS });
    const right = results.filter(({ tokens }, i) => tokens.join() === sorted[first + i]?.join()).length;
    count += right;
    if (right < some.length) break;
  }
  return count;
}

function bundleOf(some: readonly Edge[], value: number): Bundle {
  const tensors = constants
    ? new Map([["circuit.constants", storeFloat32(constants.data, constants.shape)]])
    : new Map<string, ReturnType<typeof storeFloat32>>();
  return {
    file: "the circuit",
    manifest: {
      name: "Sorting circuit",
      description: `${some.length} of ${edges.length} edges of gpt-nano-sort that sorting does not need`,
      base: baseOf(config),
      stages: [
        {
          id: "circuit",
          kind: "edge_mask",
          destinations: "heads",
          attn_bias: "per_head",
          edges: some.map(({ source, destination }) => [source, destination, value] as const),
        },
      ],
      fit: {
        method: "backward elimination by attribution",
        criterion: "all 729 inputs sorted",
        by: "scripts/study-sort.ts",
      },
    },
    tensors,
    metadata: new Map(),
  };
}

function pearson(a: readonly number[], b: readonly number[]): number {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [meanA, meanB] = [mean(a), mean(b)];
  const [da, db] = [a.map((value) => value - meanA), b.map((value) => value - meanB)];
  const sum = (x: readonly number[], y: readonly number[]) =>
    x.reduce((s, value, i) => s + value * (y[i] as number), 0);
  return sum(da, db) / Math.sqrt(sum(da, da) * sum(db, db));
}

function ranks(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((x, y) => (values[x] as number) - (values[y] as number));
  const rank = values.map(() => 0);
  order.forEach((index, place) => {
    rank[index] = place;
  });
  return rank;
}
