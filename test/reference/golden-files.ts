/**
 * What the golden files hold, computed by the reference in float64 from what they are made of: a model's weights, its
 * bundles, and the cases of cases.json and positions.json. scripts/make-golden.ts writes them.
 */
import { parseSafetensors, toFloat32 } from "../../src/formats/safetensors.ts";
import { listSources } from "../../src/interventions/edges.ts";
import { listSites } from "../../src/interventions/site-names.ts";
import { type Composition, type EdgeMaskStage, noStages } from "../../src/interventions/stage.ts";
import type { ModelConfig } from "../../src/model-config.ts";
import { location, readBytes, readJson } from "../support/files.ts";
import { readReferenceBundle, type Settings } from "./bundle.ts";
import { fitTensors } from "./fits.ts";
import { referenceForward } from "./forward.ts";
import { maskedEdges, maskGradient, referenceLoss } from "./loss.ts";
import { openReference, type ReferenceModel } from "./open.ts";

/** The folders of test/golden. */
export const goldenModels = ["gpt2-tiny", "llama-tiny", "llama3-tiny"] as const;

/** A tensor to be stored as float32. */
export interface GoldenTensor {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

export interface GoldenFile {
  /** Path in the repository. */
  readonly path: string;
  readonly tensors: ReadonlyMap<string, GoldenTensor>;
  /** Edges whose gradient was computed, as indices into `gradient`; undefined: every number of the file is made. */
  readonly edges?: readonly number[];
}

interface Case {
  readonly case: string;
  readonly expected: string;
}

/** Logits of tokens, plain (null) or under a bundle, and with `base` every site too. */
interface ForwardCase extends Case, Settings {
  readonly tokens: readonly number[];
  readonly prompt_len?: number;
  readonly bundle: string | null;
}

/** Loss and gradient under a mask; the mask and what replaces sources are in the file, as it was drawn. */
interface GradientCase extends Case, Pick<EdgeMaskStage, "destinations" | "attn_bias"> {
  readonly tokens: readonly number[];
}

interface FitCase extends Case {
  readonly positive: readonly (readonly number[])[];
  readonly negative: readonly (readonly number[])[];
}

type GoldenCase = ForwardCase | GradientCase | FitCase;

/**
 * Makes the files of a model, one after another.
 * @param name folder of test/golden
 * @param edgesPerGradient edges of each gradient that are computed, evenly spread: one costs two forward passes
 */
export async function* goldenFiles(name: string, edgesPerGradient = Infinity): AsyncGenerator<GoldenFile> {
  const folder = `test/golden/${name}`;
  const model = await openReference(location(folder));
  for (const golden of await readCases(folder)) {
    const path = `${folder}/${golden.expected}`;
    if ("bundle" in golden) yield { path, tensors: await forwardTensors(model, folder, golden) };
    else if ("positive" in golden) yield { path, tensors: fitTensors(model, golden.positive, golden.negative) };
    else yield { path, ...(await gradientTensors(model, path, golden, edgesPerGradient)) };
  }
}

/** positions.json is of the models that have one. */
async function readCases(folder: string): Promise<readonly GoldenCase[]> {
  const cases = await readJson<GoldenCase[]>(`${folder}/cases.json`);
  return folder.endsWith("llama3-tiny")
    ? cases
    : [...cases, ...(await readJson<GoldenCase[]>(`${folder}/positions.json`))];
}

async function forwardTensors(
  { config, weights }: ReferenceModel,
  folder: string,
  golden: ForwardCase,
): Promise<Map<string, GoldenTensor>> {
  const { tokens, bundle } = golden;
  const composition =
    bundle === null ? noStages : readReferenceBundle(await readBytes(`${folder}/${bundle}`), config, golden);
  const sites = bundle === null ? sitesOf(config) : [];
  const run = { tokens, promptLength: golden.prompt_len ?? tokens.length, sites };
  const result = referenceForward(weights, config, composition, run);
  const T = tokens.length;
  const rows = (data: Float64Array): GoldenTensor => ({ shape: [T, data.length / T], data });
  const captured = sites.map((site): [string, GoldenTensor] => {
    const data = result.sites.get(site) as Float64Array;
    return [site, site.startsWith("attn_pattern.") ? { shape: [data.length / T / T, T, T], data } : rows(data)];
  });
  return new Map([["logits", rows(result.logits)], ...captured]);
}

/** Names of all sites: what is before the layers, layer by layer, what is after them. */
function sitesOf(config: ModelConfig): string[] {
  const sites = listSites(config);
  const layered = sites.filter(({ layers }) => layers !== null);
  const others = sites.filter(({ layers }) => layers === null).map(({ name }) => name);
  const layers = Array.from({ length: config.num_hidden_layers }, (_, layer) =>
    layered.map(({ name }) => name.replace("LAYER", String(layer))),
  );
  return [...others.slice(0, 1), ...layers.flat(), ...others.slice(1)];
}

async function gradientTensors(
  model: ReferenceModel,
  path: string,
  { destinations, attn_bias, tokens }: GradientCase,
  count: number,
): Promise<Pick<GoldenFile, "tensors" | "edges">> {
  const drawn = parseSafetensors(await readBytes(path)).tensors;
  const [mask, constants] = ["mask", "constants"].map((name) => {
    const stored = drawn.get(name);
    if (!stored) throw new Error(`${path} has no ${name} to compute the gradient with`);
    return { shape: stored.shape, data: toFloat32(stored) };
  }) as [Values, Values];
  const edges = maskedEdges(model.config, destinations, mask.data);
  const composition = masked({ destinations, attn_bias, edges, constants: constants.data });
  const chosen = spread(edges.length, count);
  const gradients = maskGradient(model, composition, { tokens }, chosen);
  const gradient = new Float64Array(mask.data.length);
  const sources = listSources(model.config).length;
  const places = chosen.map((index) => {
    const { destination, source } = edges[index] as (typeof edges)[number];
    return destination * sources + source;
  });
  for (const [i, place] of places.entries()) gradient[place] = gradients[i] as number;
  const widen = ({ shape, data }: Values): GoldenTensor => ({ shape, data: Float64Array.from(data) });
  const loss = { shape: [1], data: Float64Array.of(referenceLoss(model, composition, { tokens })) };
  const tensors = new Map([
    ["mask", widen(mask)],
    ["constants", widen(constants)],
    ["gradient", { shape: mask.shape, data: gradient }],
    ["loss", loss],
  ]);
  return chosen.length < edges.length ? { tensors, edges: places } : { tensors };
}

interface Values {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

function masked(stage: Pick<EdgeMaskStage, "destinations" | "attn_bias" | "edges" | "constants">): Composition {
  const replace = { attn: "constants", mlp: "constants", logits: "constants" } as const;
  return { stages: [{ id: "e", kind: "edge_mask", strength: 1, replace, ...stage }], warnings: [] };
}

/** Indices below `length`, all of them or `count` evenly spread. */
function spread(length: number, count: number): number[] {
  const chosen = Math.min(length, count);
  return Array.from({ length: chosen }, (_, i) => Math.floor(((i + 0.5) * length) / chosen));
}
