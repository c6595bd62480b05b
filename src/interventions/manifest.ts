/**
 * The manifest of a bundle: JSON as its writer wrote it, with every field that the engine reads checked for its type.
 * What depends on the model or on the tensors is checked by `compose.ts`. Optional fields stay absent here.
 */
import { show } from "../show.ts";
import { allKinds, type StageManifest, stageKindNames } from "./kinds/kinds.ts";
import { isFloat32, isInteger, ManifestFields, refuse } from "./manifest-fields.ts";

export type { AffineManifest } from "./kinds/affine.ts";
export type { EdgeMaskManifest } from "./kinds/edge-mask.ts";
export type { StageManifest } from "./kinds/kinds.ts";
export type { Layers, NeuronScaleManifest } from "./kinds/neuron-scale.ts";

/** What a bundle says of itself, as JSON in its metadata. docs/bundle-format.md describes every field. */
export interface Manifest {
  /** For people. */
  readonly name: string;
  /** For people: what the edit does. */
  readonly description?: string;
  /** The model that it was made for. */
  readonly base: Base;
  /** In the order in which they act at a site. */
  readonly stages: readonly StageManifest[];
  /** Where it comes from: method, data, counts, seed. Free. */
  readonly fit?: Readonly<Record<string, unknown>>;
  /** Logits that the maker saw, to be checked elsewhere. */
  readonly checks?: readonly Check[];
  /** Whatever else the writer put there. */
  readonly [extra: string]: unknown;
}

/** The model that a bundle was made for. */
export interface Base {
  /** Such as `gpt2` or `llama`. */
  readonly model_type: string;
  /** Blocks of the model. */
  readonly num_layers: number;
  /** Width of the residual stream. */
  readonly hidden_size: number;
  /** Query heads per block. */
  readonly num_heads: number;
  /** Key and value heads per block. */
  readonly num_kv_heads: number;
  /** Width of a head. */
  readonly head_dim: number;
  /** Width of the MLP. */
  readonly intermediate_size: number;
  /** Rows of the token embedding. */
  readonly vocab_size: number;
  /** Where the weights came from, for people. */
  readonly repo?: string;
  /** Hex digest of the weight file; for shards, of their sorted hex digests joined by newlines. */
  readonly weights_sha256?: string;
  /** Hex digest of tokenizer.json. */
  readonly tokenizer_sha256?: string;
  readonly [extra: string]: unknown;
}

/** The highest logits at the last token, with the bundle applied at its own strengths. */
export interface Check {
  /** Ids to run. */
  readonly tokens: readonly number[];
  /** All tokens if absent. */
  readonly prompt_length?: number;
  /** Logits after the last token, by token id. */
  readonly top: readonly (readonly [token: number, logit: number])[];
  /** Largest difference that is allowed. */
  readonly atol: number;
}

/** The dimensions of a base, by which a bundle fits a model or not. */
export const baseSizes = [
  "num_layers",
  "hidden_size",
  "num_heads",
  "num_kv_heads",
  "head_dim",
  "intermediate_size",
  "vocab_size",
] as const satisfies readonly (keyof Base)[];

/**
 * Bounds of what a base may claim: its counts become lists of layers, heads and edges. Each is many times that of the
 * largest model there is.
 */
const MOST: Readonly<Partial<Record<(typeof baseSizes)[number], number>>> = {
  num_layers: 2048,
  num_heads: 2048,
  num_kv_heads: 2048,
};

/** Sources that a model may have under an edge mask. */
const MOST_SOURCES = 1 << 16;

/** Stage ids, and the prefixes that bundles may be given. Errors and notices repeat them whole, so they have an end. */
export const idPattern = /^[A-Za-z0-9_-]{1,200}$/;

/** More than a stage for each site of the largest models. */
const MOST_STAGES = 4096;

/**
 * Checks what the JSON of a manifest holds; the result is the same object.
 * @param json what it parses to
 * @param file names the bundle in errors
 * @throws `bad_bundle` naming stage and field
 */
export function checkManifest(json: unknown, file: string): Manifest {
  const fields = new ManifestFields(json, file);
  fields.string("name");
  if (fields.has("description")) fields.string("description");
  checkBase(fields.object("base"));
  if (fields.has("fit")) fields.object("fit");
  if (fields.has("checks")) fields.list("checks").forEach((check, index) => checkCheck(check, file, index));
  const stages = fields.list("stages");
  if (stages.length === 0) throw fields.refuse("stages", "is empty: the bundle would do nothing");
  if (stages.length > MOST_STAGES)
    throw fields.refuse("stages", `has ${stages.length} entries; ${MOST_STAGES} at most are read`);
  const hasMask = stages.some((stage) => (stage as { readonly kind?: unknown } | null)?.kind === "edge_mask");
  checkSources((json as Manifest).base, hasMask, file);
  const ids = new Set<string>();
  stages.forEach((stage, index) => {
    const id = checkStage(stage, file, index);
    if (ids.has(id)) throw refuse(`${file}: stage "${id}"`, "id", "names two stages; each needs its own");
    ids.add(id);
  });
  return json as Manifest;
}

function checkBase(base: ManifestFields): void {
  base.string("model_type");
  for (const size of baseSizes) base.integer(size, 1, MOST[size]);
  if (base.has("repo")) base.string("repo");
  for (const digest of ["weights_sha256", "tokenizer_sha256"]) {
    if (base.has(digest) && !/^[0-9a-f]{64}$/i.test(base.string(digest))) {
      throw base.refuse(digest, `is ${show(base.raw(digest))}, not 64 hexadecimal digits`);
    }
  }
}

/** Every head and every MLP is a source of an edge mask, and so an entry of lists. */
function checkSources({ num_layers, num_heads }: Base, hasMask: boolean, file: string): void {
  const sources = 1 + num_layers * (num_heads + 1);
  if (!hasMask || sources <= MOST_SOURCES) return;
  throw refuse(
    file,
    "base",
    `has ${sources} sources of edges in ${num_layers} layers; an edge mask can have ${MOST_SOURCES}`,
  );
}

function checkCheck(json: unknown, file: string, index: number): void {
  const check = new ManifestFields(json, file, `checks[${index}]`);
  const tokens = check.list("tokens");
  if (tokens.length === 0 || !tokens.every((token) => isInteger(token, 0))) {
    throw check.refuse("tokens", `is ${show(tokens)}, not a list of token ids`);
  }
  if (check.has("prompt_length")) check.integer("prompt_length", 1, tokens.length);
  const top = check.list("top");
  const isPair = (pair: unknown) =>
    Array.isArray(pair) && pair.length === 2 && isInteger(pair[0], 0) && isFloat32(pair[1]);
  if (top.length === 0 || !top.every(isPair)) {
    throw check.refuse("top", `is ${show(top)}, not a list of pairs [token id, logit]`);
  }
  if (check.number("atol") < 0) throw check.refuse("atol", `is ${show(check.raw("atol"))}; it may not be negative`);
}

/** @returns the stage's id */
function checkStage(json: unknown, file: string, index: number): string {
  const id = new ManifestFields(json, file, `stages[${index}]`).string("id");
  if (!idPattern.test(id)) {
    throw refuse(
      file,
      `stages[${index}].id`,
      `is ${show(id)}`,
      "An id is made of at most 200 letters, digits, _ and -.",
    );
  }
  const stage = new ManifestFields(json, `${file}: stage "${id}"`);
  allKinds[stage.word("kind", stageKindNames)].check(stage);
  if (stage.has("strength")) stage.number("strength");
  return id;
}
