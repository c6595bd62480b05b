/** Circuits of EAP-IG: graphs as JSON, and as torch files of matrices. */
import { SluiceError } from "../../errors.ts";
import type { StridedArray } from "../../formats/strided.ts";
import { arrayIn } from "../../formats/torch/globals.ts";
import type { PickleValue } from "../../formats/torch/pickle.ts";
import { show } from "../../show.ts";
import { listSources, sourceName } from "../edges.ts";
import type { ModelShape } from "../sites.ts";
import { type ForeignKind, type Given, type Imported, open, unfit } from "./foreign-kind.ts";
import { type HeadInput, KeptEdges } from "./kept-edges.ts";

interface ScoredEdge {
  readonly source: string;
  readonly destination: string;
  /** As the file names it. */
  readonly where: string;
  readonly score: number | null;
  readonly inGraph: boolean | null;
}

export const eapIg: ForeignKind = {
  name: "EAP-IG",
  takes: ["keep"],
  matches: ({ files, config }) =>
    files.length === 1 && (isGraph(files[0]?.json) || matrixOf(files[0]?.value, config) !== null),
  read(given) {
    const [file] = given.files;
    const edges = new KeptEdges(given);
    const json = file?.json;
    const scored = isGraph(json) ? ofGraph(given, json, edges) : ofMatrix(given, edges);
    return chosen(given, scored, edges);
  },
};

interface Graph {
  readonly cfg?: unknown;
  readonly edges: Readonly<Record<string, unknown>>;
}

function isGraph(json: unknown): json is Graph {
  const { edges } = (json ?? {}) as Partial<Graph>;
  return typeof edges === "object" && edges !== null && Object.keys(edges).some((name) => name.includes("->"));
}

function ofGraph(given: Given, { cfg = {}, edges }: Graph, kept: KeptEdges): readonly ScoredEdge[] {
  if (typeof cfg !== "object" || cfg === null) throw unfit(given, "cfg", `is ${show(cfg)}, not an object`);
  checkConfig(given, (name) => (cfg as Readonly<Record<string, unknown>>)[name]);
  return Object.entries(edges).map(([name, edge]) => {
    const ends = /^(input|a(\d+)\.h(\d+)|m(\d+))->(?:(logits)|m(\d+)|a(\d+)\.h(\d+)<([qkv])>)$/.exec(name);
    if (!ends) throw unfit(given, `edge ${name.slice(0, 60)}`, "is not named as EAP-IG does");
    const [, source, layer, head, mlp, logits, toMlp, toLayer, toHead, input] = ends;
    const scored =
      typeof edge === "object" && edge !== null ? (edge as Readonly<Record<string, unknown>>) : { score: edge };
    return {
      where: `edge ${name}`,
      source: source === "input" ? "embed" : mlp === undefined ? `blocks.${layer}.head.${head}` : `blocks.${mlp}.mlp`,
      destination:
        logits ??
        (toMlp === undefined ? kept.input(Number(toLayer), Number(toHead), input as HeadInput) : `blocks.${toMlp}.mlp`),
      score: typeof scored.score === "number" ? scored.score : null,
      inGraph: typeof scored.in_graph === "boolean" ? scored.in_graph : null,
    };
  });
}

/** What the model was that the graph is of. */
function checkConfig(given: Given, field: (name: string) => unknown): void {
  const { config } = given;
  if (field("parallel_attn_mlp") === true) {
    throw unfit(
      given,
      "cfg.parallel_attn_mlp",
      "is true: attention and MLP read the same stream there, and not in this model",
    );
  }
  for (const [name, size] of [
    ["n_layers", config.num_hidden_layers],
    ["n_heads", config.num_attention_heads],
    ["d_model", config.hidden_size],
  ] as const) {
    const value = field(name);
    if (value === undefined || value === size) continue;
    throw unfit(
      given,
      `cfg.${name}`,
      `is ${show(value, 40)}, but the model's is ${size}`,
      "It was made for another model.",
    );
  }
}

interface Matrix {
  readonly scores: StridedArray | null;
  readonly inGraph: StridedArray | null;
  readonly cfg: ReadonlyMap<unknown, unknown>;
}

/**
 * What Graph.to_pt writes, or a matrix alone: `[sources, destinations]`, with a destination for the queries, keys and values
 * of each head.
 */
function matrixOf(value: PickleValue | undefined, config: ModelShape): Matrix | null {
  const alone = arrayIn(value);
  if (alone) {
    const { num_hidden_layers: layers, num_attention_heads: heads } = config;
    const isMatrix = alone.shape[0] === 1 + layers * (heads + 1) && alone.shape[1] === layers * (3 * heads + 1) + 1;
    if (!isMatrix || alone.shape.length !== 2) return null;
    return {
      scores: alone.dtype === "BOOL" ? null : alone,
      inGraph: alone.dtype === "BOOL" ? alone : null,
      cfg: new Map(),
    };
  }
  if (!(value instanceof Map)) return null;
  const scores = arrayIn(value.get("edges_scores") ?? value.get("scores"));
  const inGraph = arrayIn(value.get("edges_in_graph") ?? value.get("in_graph"));
  if (!scores && !inGraph) return null;
  const cfg: unknown = value.get("cfg");
  return { scores, inGraph, cfg: cfg instanceof Map ? cfg : new Map() };
}

function ofMatrix(given: Given, kept: KeptEdges): readonly ScoredEdge[] {
  const { scores, inGraph, cfg } = matrixOf(given.files[0]?.value, given.config) as Matrix;
  checkConfig(given, (name) => cfg.get(name));
  const { num_hidden_layers: layers, num_attention_heads: heads } = given.config;
  const sources = listSources(given.config).map(sourceName);
  const destinations: { readonly name: string; readonly visible: number }[] = [];
  for (let layer = 0; layer < layers; layer++) {
    for (const input of ["q", "k", "v"] as const) {
      for (let head = 0; head < heads; head++) {
        destinations.push({ name: kept.input(layer, head, input), visible: 1 + layer * (heads + 1) });
      }
    }
    destinations.push({ name: `blocks.${layer}.mlp`, visible: 1 + layer * (heads + 1) + heads });
  }
  destinations.push({ name: "logits", visible: sources.length });
  for (const array of [scores, inGraph]) {
    if (
      !array ||
      (array.shape[0] === sources.length && array.shape[1] === destinations.length && array.shape.length === 2)
    )
      continue;
    const wanted = `[${sources.length}, ${destinations.length}]`;
    throw unfit(
      given,
      "its matrix of edges",
      `has shape [${array.shape.join(", ")}], not ${wanted}`,
      "It was made for another model.",
    );
  }
  const [score, flags] = [scores?.values(), inGraph?.values()];
  return sources.flatMap((source, from) =>
    destinations.flatMap(({ name, visible }, to) => {
      if (from >= visible) return [];
      const at = from * destinations.length + to;
      const where = `edge [${from}, ${to}]`;
      return [
        { source, destination: name, where, score: score?.[at] ?? null, inGraph: flags ? flags[at] !== 0 : null },
      ];
    }),
  );
}

/** The edges that are in the graph; with `keep`, those of the largest scores. */
function chosen(given: Given, scored: readonly ScoredEdge[], edges: KeptEdges): Imported {
  const { keep } = given.choices;
  if (keep === undefined) {
    if (scored.some(({ inGraph }) => inGraph === null)) {
      throw open(
        given,
        "which edges are kept: it has scores alone",
        "Keep those of the largest scores: --keep 400.",
        "keep",
      );
    }
    for (const edge of scored) if (edge.inGraph) edges.keep(edge.source, edge.destination, edge.where);
    return edges.stage("separate");
  }
  if (scored.some(({ score }) => score === null)) {
    throw new SluiceError("usage", `${given.name} has no scores to keep edges by`, {
      hint: "Leave keep out.",
      field: "keep",
    });
  }
  const strength = ({ score }: ScoredEdge): number => Math.abs(score ?? 0);
  for (const edge of [...scored].sort((a, b) => strength(b) - strength(a)).slice(0, keep)) {
    edges.keep(edge.source, edge.destination, edge.where);
  }
  return edges.stage("separate");
}
