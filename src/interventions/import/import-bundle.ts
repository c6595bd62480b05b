/** Files of other projects as bundles. The kind of file is recognised by its content; docs/importing.md lists them. */
import { entry, options } from "../../arguments/entry.ts";
import { fields } from "../../arguments/fields.ts";
import { listOf, type Table, tableOf } from "../../arguments/lists.ts";
import { bytes, callback, fileName, float32, oneOf, whole } from "../../arguments/rules.ts";
import { SluiceError } from "../../errors.ts";
import { modelShape } from "../arguments.ts";
import type { Bundle } from "../bundle-types.ts";
import { baseOf, compose } from "../compose.ts";
import type { ModelShape } from "../sites.ts";
import { affineSites } from "../stage.ts";
import { bareVectors } from "./bare-vectors.ts";
import { controlVector } from "./control-vector.ts";
import { eapIg } from "./eap-ig.ts";
import { acdc, edgePruning } from "./edge-lists.ts";
import { ForeignFile } from "./foreign-file.ts";
import { type ForeignKind, type Given, type ImportChoices, importMethods } from "./foreign-kind.ts";
import { neuronpedia } from "./neuronpedia.ts";
import { aura, neuronValues } from "./neurons.ts";
import { reft } from "./reft.ts";
import { refusalDirection } from "./refusal-direction.ts";
import { saeLens } from "./sae-lens.ts";
import { steeringVectors, svec, vllmHook } from "./steering-vectors.ts";

/** The first that matches counts: bare vectors are what no other kind is. */
const kinds: readonly ForeignKind[] = [
  controlVector,
  saeLens,
  reft,
  refusalDirection,
  aura,
  vllmHook,
  steeringVectors,
  svec,
  eapIg,
  edgePruning,
  acdc,
  neuronpedia,
  neuronValues,
  bareVectors,
];

/** Settings of {@link importBundle}: what a file may leave open, and what the caller is told. */
export interface ImportOptions extends ImportChoices {
  /** Reports what makes it doubtful that the result means what the file meant. */
  readonly onWarning?: (text: string) => void;
}

export const importBundleDoor = entry(
  "importBundle",
  ["files", tableOf(bytes)],
  ["name", fileName],
  ["config", modelShape],
  options(
    fields<ImportOptions>()({
      as: oneOf(importMethods),
      layers: listOf(whole({ least: 0 })),
      scale: float32,
      site: oneOf(affineSites),
      numbering: whole({ least: 0, most: 1 }),
      feature: whole({ least: 0 }),
      keep: whole({ least: 1 }),
      onWarning: callback<(text: string) => void>(),
    }),
  ),
);

/**
 * A bundle of a file, or of the files of a folder, of another project.
 * @param files by their paths: the bytes of one file, or of all files of a folder
 * @param name names the file or folder in errors, and the bundle without its ending
 * @param config of the model that it is for
 * @throws SluiceError `usage` naming what the file leaves open, with the choices; `bad_file` for a damaged file or one of
 * no kind that is read; `bad_bundle` if it does not fit the model
 */
export async function importBundle(
  files: Table<Uint8Array>,
  name: string,
  config: ModelShape,
  choices: ImportOptions = {},
): Promise<Bundle> {
  const [table, , , read] = importBundleDoor.read(files, name, config, choices);
  const { onWarning = () => undefined, ...chosen } = read;
  const opened = [...table].map(([path, content]) => new ForeignFile(path, content));
  for (const file of opened) await file.prepare();
  const given: Given = { name, files: opened, config, choices: chosen, warn: onWarning };
  const kind = kinds.find((each) => each.matches(given));
  if (!kind) throw unknownKind(given);
  checkChoices(given, kind);
  const { stages, tensors, fit } = kind.read(given);
  const bundle: Bundle = {
    file: name,
    manifest: {
      name:
        name
          .replace(/[\\/]+$/, "")
          .replace(/^.*[\\/]/, "")
          .replace(/\.[a-z]+$/i, "") || "imported",
      base: baseOf(config),
      stages,
      fit: { imported: kind.name, ...fit },
    },
    tensors,
    metadata: new Map(),
  };
  compose(config, [{ bundle }]);
  return bundle;
}

function unknownKind(given: Given): SluiceError {
  const [only, ...others] = given.files;
  if (only && others.length === 0) return only.unknown();
  const names = given.files.map(({ base }) => base).join(", ");
  return new SluiceError(
    "bad_file",
    `${given.name} is no folder that is imported: it has ${names.slice(0, 200) || "no files"}`,
    {
      hint: "docs/importing.md lists the kinds.",
    },
  );
}

/** Refuses a choice that would do nothing. */
function checkChoices({ name, choices }: Given, kind: ForeignKind): void {
  for (const [field, value] of Object.entries(choices)) {
    if (value === undefined || kind.takes.some((taken) => taken === field)) continue;
    const takes = kind.takes.length > 0 ? `It takes ${kind.takes.join(", ")}.` : "The file says all of it.";
    throw new SluiceError("usage", `${name} is of the kind ${kind.name}, for which ${field} means nothing`, {
      hint: takes,
      field,
    });
  }
}
