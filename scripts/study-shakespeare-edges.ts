/**
 * An edge of docs/study-shakespeare.md that is chosen by what the edited model says, not by a loss.
 *
 *   npx tsx scripts/study-shakespeare-edges.ts FOLDER --start BUNDLE --out BUNDLE [--cut BUNDLE] [--value 0.5]
 *     [--shortlist 16] [--each 6] [--edge "SOURCE → DESTINATION"]
 *
 * FOLDER is what study-shakespeare-data.ts and study-shakespeare-own.ts wrote, --start a result of `fit edges`. Proposes
 * edges by the gradient of loss(own-tales) − loss(own-plays) at the cuts made so far, and leaves out those that cost
 * own-tales more than a nat at m = VALUE, since they ruin the model. Each is set to VALUE on trial while the 20 openings of
 * study-shakespeare-own.ts, none of which is judged, are continued that many times; the three best are tried with four times
 * as many, beside the model without any of them. --out is the start with the one that makes most continuations tales;
 * --cut is the same with that edge cut whole. --edge names the edge, and nothing is searched for. A tale is what unigram
 * log-odds do not call Shakespeare and what holds a quarter of unknown tokens at most, so that babble does not count. All
 * trials are sequences of one session, each with its own mask.
 */

import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import {
  type Bundle,
  fitUnigramClassifier,
  load,
  loadBundle,
  openAttribution,
  type Session,
  writeBundle,
} from "../src/index.ts";
import {
  destinationName,
  listDestinations,
  listSources,
  sourceName,
  visibleSources,
} from "../src/interventions/edges.ts";
import { resolveEdgeMask } from "../src/interventions/resolve-edges.ts";
import { knownTokens, openings, pieces } from "./study-shakespeare-texts.ts";

const NEW_TOKENS = 24;
const MOST_UNKNOWN = NEW_TOKENS / 4;
const TEXTS = 72;
/** Trials side by side, each of all openings. */
const TRIALS = 4;
const FINALISTS = TRIALS - 1;
/** Nats by which an edge's cut may raise the loss on own-tales. */
const MOST_COST = 1;
const MASKS = 4;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    start: { type: "string" },
    out: { type: "string" },
    cut: { type: "string" },
    value: { type: "string", default: "0.5" },
    edge: { type: "string" },
    shortlist: { type: "string", default: "16" },
    each: { type: "string", default: "6" },
  },
});
const [folder] = positionals;
if (folder === undefined || values.start === undefined || values.out === undefined) {
  throw new Error("Usage: npx tsx scripts/study-shakespeare-edges.ts FOLDER --start BUNDLE --out BUNDLE");
}

type Edge = readonly [source: string, destination: string];
/** An edge and its index into a mask. */
interface Place {
  readonly edge: Edge;
  readonly at: number;
}
interface Share {
  readonly tales: number;
  readonly plays: number;
}

const model = await load("weights/gpt2-stories");
const { tokenizer, config } = model;
if (!tokenizer) throw new Error("weights/gpt2-stories has no tokenizer");
const judge = fitUnigramClassifier(
  { positive: await pieces(folder, "plays"), negative: await pieces(folder, "tales") },
  { method: "log-odds" },
);
const known = await knownTokens(tokenizer);
const prompts = openings.map((text) => tokenizer.encode(text, { addSpecialTokens: false }));
const own = {
  good: (await pieces(folder, "own-tales")).slice(0, TEXTS),
  bad: (await pieces(folder, "own-plays")).slice(0, TEXTS),
};

const value = Number(values.value);
const bundle = await loadBundle(values.start);
const [stage] = bundle.manifest.stages;
if (stage?.kind !== "edge_mask") throw new Error(`${values.start} is not an edge mask`);
const cut: readonly Edge[] = (stage.edges ?? []).map(([source, destination]) => [source, destination]);
const resolved = resolveEdgeMask(config, bundle, stage);
const sources = listSources(config).map(sourceName);
const destinations = listDestinations(config, "heads");
const shape = [destinations.length, sources.length] as const;
const places: Place[] = destinations.flatMap((destination, row) =>
  sources.slice(0, visibleSources(config, destination)).map((source, column): Place => {
    return { edge: [source, destinationName(destination)], at: row * sources.length + column };
  }),
);
const found = values.edge === undefined ? await search() : named(values.edge);
await writeFile(values.out, writeBundle(withEdge(found, value)));
if (values.cut !== undefined) await writeFile(values.cut, writeBundle(withEdge(found, 0)));
model.dispose();

/** The edge that makes most continuations tales. */
async function search(): Promise<Edge> {
  const candidates = await proposed(Number(values.shortlist));
  const shares = await tried(candidates, 0, Number(values.each));
  const finalists = candidates
    .map((edge, i) => ({ edge, tales: (shares[i] as Share).tales }))
    .sort((a, b) => b.tales - a.tales)
    .slice(0, FINALISTS)
    .map(({ edge }) => edge);
  const [before, ...after] = await tried([undefined, ...finalists], Number(values.each), 4 * Number(values.each));
  const best = after.reduce((top, share, i) => (share.tales > (after[top] as Share).tales ? i : top), 0);
  console.log(`with ${cut.length} edges cut: tales ${percent(before?.tales)}, Shakespeare ${percent(before?.plays)}`);
  for (const [i, edge] of finalists.entries()) {
    console.log(`  ${edge.join(" → ")}: tales ${percent(after[i]?.tales)}, Shakespeare ${percent(after[i]?.plays)}`);
  }
  return finalists[best] as Edge;
}

function named(text: string): Edge {
  const place = places.find(({ edge }) => edge.join(" → ") === text);
  if (!place) throw new Error(`There is no edge ${text}`);
  return place.edge;
}

/** Edges whose cut the gradient thinks best, of those that the texts which are no Shakespeare can do without. */
async function proposed(count: number): Promise<readonly Edge[]> {
  const mask = maskOf();
  const gradients: ArrayLike<number>[] = [];
  for (const texts of [own.good, own.bad]) {
    const attribution = await openAttribution(model, texts, { destinations: "heads" });
    gradients.push((await attribution.run(mask)).gradient.data);
    attribution.dispose();
  }
  const [good, bad] = gradients as [ArrayLike<number>, ArrayLike<number>];
  const helps = ({ at }: Place) => (good[at] as number) - (bad[at] as number);
  const uncut = places.filter(({ at }) => mask.mask.data[at] === 1);
  const candidates = uncut.sort((a, b) => helps(b) - helps(a)).slice(0, count);
  const attribution = await openAttribution(model, own.good, { destinations: "heads", masks: MASKS });
  const losses: number[] = [];
  try {
    const masks = [mask, ...candidates.map((candidate) => maskOf(candidate))];
    for (let at = 0; at < masks.length; at += MASKS) {
      losses.push(...(await attribution.losses(masks.slice(at, at + MASKS))));
    }
  } finally {
    attribution.dispose();
  }
  const cost = (i: number) => (losses[i + 1] as number) - (losses[0] as number);
  for (const [i, { edge }] of candidates.entries()) {
    if (cost(i) > MOST_COST) console.log(`  ${edge.join(" → ")}: not tried, it costs ${cost(i).toFixed(2)} nats`);
  }
  return candidates.filter((_, i) => cost(i) <= MOST_COST).map(({ edge }) => edge);
}

/** The start's mask, with one more edge at VALUE. */
function maskOf(more?: Place) {
  const data = new Float64Array(shape[0] * shape[1]).fill(1);
  for (const { destination, source, value } of resolved.edges) data[destination * shape[1] + source] = value;
  if (more) data[more.at] = value;
  const { constants, replace } = resolved;
  const given = constants && { data: constants, shape: [shape[1], config.hidden_size] };
  return { mask: { data, shape }, constants: given, replace };
}

/** What the model says with each of these edges at VALUE in addition to the start's, over continuations first to first + each. */
async function tried(edges: readonly (Edge | undefined)[], first: number, each: number): Promise<readonly Share[]> {
  const extra = edges.filter((edge) => edge !== undefined);
  const session = await model
    .with([bundle], { edges: extra })
    .session({ sequences: TRIALS * prompts.length, context: NEW_TOKENS + 8 });
  const shares: Share[] = [];
  try {
    for (let at = 0; at < edges.length; at += TRIALS) {
      shares.push(...(await triedTogether(session, edges.slice(at, at + TRIALS), extra, first, each)));
      console.error(`${shares.length} of ${edges.length}`);
    }
  } finally {
    session.dispose();
  }
  return shares;
}

async function triedTogether(
  session: Session,
  edges: readonly (Edge | undefined)[],
  extra: readonly Edge[],
  first: number,
  each: number,
): Promise<readonly Share[]> {
  for (const [trial, edge] of edges.entries()) {
    for (let i = 0; i < prompts.length; i++) {
      const change = extra.map((one) => [...one, one === edge ? value : 1] as const);
      session.set((stage as { id: string }).id, { edges: change }, { sequence: trial * prompts.length + i });
    }
  }
  const counts = edges.map(() => ({ tales: 0, plays: 0 }));
  const batch = edges.flatMap(() => prompts);
  for (let time = first; time < first + each; time++) {
    const results = await session.generateBatch(batch, {
      maxNewTokens: NEW_TOKENS,
      temperature: 1,
      // The same for every trial: what differs is the edge.
      seeds: batch.map((_, i) => 2_000_000 + time * prompts.length + (i % prompts.length)),
    });
    for (const [i, { tokens }] of results.entries()) {
      const count = counts[Math.floor(i / prompts.length)] as (typeof counts)[number];
      if (judge.score(tokens) > 0) count.plays++;
      else if (tokens.filter((token) => !known.has(token)).length <= MOST_UNKNOWN) count.tales++;
    }
  }
  const total = each * prompts.length;
  return counts.map(({ tales, plays }) => ({ tales: tales / total, plays: plays / total }));
}

function withEdge(edge: Edge, m: number): Bundle {
  const { checks: _, fit, ...manifest } = bundle.manifest;
  const edges = [...cut.map((one) => [...one, 0] as const), [...edge, m] as const];
  const masked = { ...stage, edges } as (typeof manifest.stages)[number];
  const description = `${cut.length} of ${places.length} edges cut, one at ${m} that was chosen by what the model says`;
  return { ...bundle, manifest: { ...manifest, description, stages: [masked], fit: { ...fit, by: "continuations" } } };
}

function percent(share: number | undefined): string {
  return `${(100 * (share ?? 0)).toFixed(1)} %`;
}
