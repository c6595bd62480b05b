/** What a kind of foreign file is to the importer: how it is recognised, and what it becomes. */
import { SluiceError } from "../../errors.ts";
import type { StoredTensor } from "../../formats/safetensors.ts";
import type { StageManifest } from "../manifest.ts";
import { refuse } from "../manifest-fields.ts";
import type { ModelShape } from "../sites.ts";
import type { AffineSite } from "../stage.ts";
import type { ForeignFile } from "./foreign-file.ts";

/** What becomes of a direction: it is added, taken away, or the coordinate along it is set (`ace`) or bounded (`clamp`). */
export type ImportMethod = "addition" | "ablation" | "ace" | "clamp";

export const importMethods: readonly ImportMethod[] = ["addition", "ablation", "ace", "clamp"];

/** What a foreign file may leave open. */
export interface ImportChoices {
  /** What becomes of a direction; the kind of file decides if absent. */
  readonly as?: ImportMethod;
  /** Layers to act in, from 0: where the file's only vector goes, or those to take of several. */
  readonly layers?: readonly number[];
  /** A factor of what is added; for `ace` and `clamp` the coordinate that is set, or its bound. Default 1. */
  readonly scale?: number;
  /** Where vectors act; the kind of file decides if absent. */
  readonly site?: AffineSite;
  /** The number that the file gives to the first block: 0, the default, or 1. */
  readonly numbering?: number;
  /** Which feature of a sparse autoencoder. */
  readonly feature?: number;
  /** How many edges to keep, those of the largest scores, of a file that has scores. */
  readonly keep?: number;
}

/** Files that were given together, the model that they are for, and what the caller chose. */
export interface Given {
  /** Names the file or folder in errors. */
  readonly name: string;
  readonly files: readonly ForeignFile[];
  readonly config: ModelShape;
  readonly choices: ImportChoices;
  /** Reports what makes it doubtful that the result means what the file meant. */
  readonly warn: (text: string) => void;
}

/** What becomes of the files: the part of a bundle that is about them. */
export interface Imported {
  readonly stages: readonly StageManifest[];
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** For the manifest's `fit`, besides the kind. */
  readonly fit?: Readonly<Record<string, unknown>>;
}

export interface ForeignKind {
  /** As users call it. */
  readonly name: string;
  /** Which choices mean something to it. */
  readonly takes: readonly (keyof ImportChoices)[];
  matches(given: Given): boolean;
  read(given: Given): Imported;
}

/** The error for what the file leaves open. */
export function open(given: Given, what: string, hint: string, field: keyof ImportChoices): SluiceError {
  return new SluiceError("usage", `${given.name} leaves open ${what}`, { hint, field });
}

/** The error for a file that does not go with the model, or contradicts itself. */
export function unfit(given: Given, field: string, problem: string, hint?: string): SluiceError {
  return refuse(given.name, field, problem, hint);
}

/** A layer of the model. @throws `bad_bundle` for one that it does not have */
export function layerOf({ config, name }: Pick<Given, "config" | "name">, layer: number, field = "layer"): number {
  const count = config.num_hidden_layers;
  if (Number.isSafeInteger(layer) && layer >= 0 && layer < count) return layer;
  throw refuse(
    name,
    field,
    `is ${layer}, but the model's layers are 0 to ${count - 1}`,
    "It was made for another model.",
  );
}
