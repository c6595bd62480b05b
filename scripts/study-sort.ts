/**
 * The numbers of docs/study-sort.md: how far the attribution of gpt-nano-sort's 82 edges agrees with cutting each of them,
 * and which of them can all be cut while all 729 inputs are still sorted.
 *
 *   npx tsx scripts/study-sort.ts [--zero] [--out BUNDLE] [--svg FILE]
 *
 * A cut source is replaced by its mean over all inputs and positions, or with --zero by nothing. The search takes edges
 * away one at a time, always the one whose cut the gradient at the cuts made so far puts at the smallest rise of the loss
 * (before the first cut: the measured rise), and puts back those without which an input is not sorted any more.
 */
import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { storeFloat32 } from "../src/formats/safetensors.ts";
import { type Bundle, load, type Session, writeBundle } from "../src/index.ts";
import { baseOf } from "../src/interventions/compose.ts";
import {
  destinationName,
  listDestinations,
  listSources,
  sourceName,
  visibleSources,
} from "../src/interventions/edges.ts";
import { scatter } from "./svg.ts";

const { values: options } = parseArgs({
  options: { zero: { type: "boolean" }, out: { type: "string" }, svg: { type: "string" } },
});

/** An edge by its names, and its index into a mask. */
interface Edge {
  readonly source: string;
  readonly destination: string;
  readonly index: number;
}

const LETTERS = 6;
const inputs = Array.from({ length: 3 ** LETTERS }, (_, i) =>
  Array.from({ length: LETTERS }, (_, place) => Math.floor(i / 3 ** place) % 3),
);
const sorted = inputs.map((letters) => [...letters].sort());

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
const single = await model.openAttribution(texts, { scoreFrom: LETTERS });
const constants = options.zero ? undefined : await single.means();
const filling = { ...(constants && { constants }) };
const maskOf = (cut: Iterable<Edge>) => {
  const data = new Float32Array(shape[0] * shape[1]).fill(1);
  for (const { index } of cut) data[index] = 0;
  return { ...filling, mask: { data, shape } };
};

// Attribution against single cuts.
const whole = await single.run(maskOf([]));
const batch = await model.openAttribution(texts, { scoreFrom: LETTERS, masks: 4 });
const exact: number[] = [];
for (let first = 0; first < edges.length; first += batch.masks) {
  const some = edges.slice(first, first + batch.masks).map((edge) => maskOf([edge]));
  exact.push(...(await batch.losses(some)).map((loss) => loss - whole.loss));
}
batch.dispose();
const estimated = edges.map(({ index }) => -(whole.gradient.data[index] as number));
const agreeing = (least: number) => {
  const counted = edges.map((_, i) => i).filter((i) => Math.abs(exact[i] as number) >= least);
  const same = counted.filter((i) => Math.sign(exact[i] as number) === Math.sign(estimated[i] as number));
  return `${same.length} of ${counted.length}`;
};
console.log(
  `loss ${whole.loss.toExponential(3)} nats, ${edges.length} edges, replaced by ${options.zero ? "zero" : "means"}`,
);
console.log(
  `Pearson ${pearson(estimated, exact).toFixed(3)}, Spearman ${pearson(ranks(estimated), ranks(exact)).toFixed(3)}`,
);
console.log(`same sign: ${agreeing(0)}; of effects of at least 0.01 nats: ${agreeing(0.01)}`);
if (options.svg)
  await writeFile(
    options.svg,
    scatter({
      title: "gpt-nano-sort: attribution of each edge against cutting it",
      x: "estimated rise of the loss, nats",
      y: "measured rise, nats",
      points: edges.map((edge, i) => ({
        x: estimated[i] as number,
        y: exact[i] as number,
        label: `${edge.source} → ${edge.destination}`,
      })),
    }),
  );

// The circuit.
const probe = model.with([bundleOf(edges, 1)]);
const session = await probe.session({ sequences: 243, context: 2 * LETTERS - 1, live: false });
const cut = new Set<Edge>();
const needed = new Set<Edge>();
let estimates = new Map(edges.map((edge, i) => [edge, exact[i] as number]));
console.log(`${await sortedCount(session)} of ${inputs.length} inputs are sorted by the whole model`);
while (cut.size + needed.size < edges.length) {
  const [edge] = edges
    .filter((each) => !cut.has(each) && !needed.has(each))
    .sort((a, b) => (estimates.get(a) as number) - (estimates.get(b) as number)) as [Edge];
  session.set("circuit", { edges: [[edge.source, edge.destination, 0]] });
  if ((await sortedCount(session)) === inputs.length) {
    cut.add(edge);
    const { gradient } = await single.run(maskOf(cut));
    estimates = new Map(edges.map((each) => [each, -(gradient.data[each.index] as number)]));
  } else {
    needed.add(edge);
    session.set("circuit", { edges: [[edge.source, edge.destination, 1]] });
  }
  process.stderr.write(`${cut.size} cut, ${needed.size} needed, of ${edges.length}\r`);
}
session.dispose();
single.dispose();

const bundle = bundleOf(
  [...cut].sort((a, b) => a.index - b.index),
  0,
);
const circuit = model.with([bundle]);
const check = await circuit.session({ sequences: 243, context: 2 * LETTERS - 1, live: false });
console.log(
  `${cut.size} of ${edges.length} edges cut: ${await sortedCount(check)} of ${inputs.length} inputs are sorted`,
);
check.dispose();
for (const destination of new Set([...needed].map((edge) => edge.destination)))
  console.log(
    `  ${destination} ← ${[...needed]
      .filter((edge) => edge.destination === destination)
      .map(({ source }) => source)
      .join(", ")}`,
  );
if (options.out) await writeFile(options.out, writeBundle(bundle));
model.dispose();

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
