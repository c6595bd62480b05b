/** A bundle in memory, and what bundles are composed with. */
import type { StoredTensor } from "../formats/safetensors.ts";
import type { Manifest } from "./manifest.ts";
import type { Positions } from "./positions.ts";

/** A bundle of interventions in memory: what it does, and the tensors that it does it with. */
export interface Bundle {
  /** Names it in errors: a path, or what is used as one. */
  readonly file: string;
  /** What the bundle does and which model it was made for. */
  readonly manifest: Manifest;
  /** As stored, those that no stage reads too. Widened when composed. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** What else is in `__metadata__`. */
  readonly metadata: ReadonlyMap<string, string>;
}

/** A bundle among others. */
export interface ComposedBundle {
  /** The bundle, as read. */
  readonly bundle: Bundle;
  /** Makes its ids `PREFIX/ID`. */
  readonly prefix?: string;
}

/** All edges, or those listed: what a caller wants to set later besides the edges that a bundle masks. */
export type WidenedEdges = "all" | readonly (readonly [source: string, destination: string])[];

/** What a caller sets in place of the bundles' own values, by stage id. */
export interface ComposeSettings {
  /** Strengths by stage id, in place of the bundles' own. */
  readonly strengths?: ReadonlyMap<string, number>;
  /** Alphas by stage id, in place of the bundles' own. */
  readonly params?: ReadonlyMap<string, { readonly alpha: number }>;
  /** Positions by stage id, in place of the bundles' own. */
  readonly positions?: ReadonlyMap<string, Positions>;
  /** Edges that shall be part of the edge mask's structure besides those that it masks; they begin at 1. */
  readonly edges?: WidenedEdges;
  /** Digests of the model's files, as hex, to be compared with those that a bundle was made for. */
  readonly digests?: { readonly weights_sha256?: string; readonly tokenizer_sha256?: string };
}
