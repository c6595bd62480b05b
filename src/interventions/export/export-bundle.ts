/** Bundles as files of other projects. docs/exporting.md says what each format holds. */
import { entry, options as optionsOf } from "../../arguments/entry.ts";
import { fields } from "../../arguments/fields.ts";
import { callback, fileName, oneOf } from "../../arguments/rules.ts";
import { SluiceError } from "../../errors.ts";
import { bundle as anyBundle, type BundleInput } from "../arguments.ts";
import { compose, shapeOf } from "../compose.ts";
import type { ModelShape } from "../sites.ts";
import type { Stage } from "../stage.ts";
import { eapIgGraph, edgePruningList } from "./circuits.ts";
import { controlVector } from "./control-vector.ts";
import { type ExportFormat, type ExportName, exportNames } from "./export-format.ts";
import { hooks } from "./hooks.ts";
import { neuronCsv } from "./neuron-csv.ts";
import { numpyVectors } from "./numpy-vectors.ts";
import { reftFolder } from "./reft-folder.ts";

const formats: Readonly<Record<ExportName, ExportFormat>> = {
  gguf: controlVector,
  npz: numpyVectors,
  pyreft: reftFolder,
  "eap-json": eapIgGraph,
  "edge-pruning": edgePruningList,
  csv: neuronCsv,
  "hf-hooks": hooks,
};

/** Options of {@link exportBundle}. */
export interface ExportOptions {
  /** Of the files, without an ending; default: the bundle's name, as far as it can be one. */
  readonly name?: string;
  /** Reports stages that are left out, and what the files do not say of the others. */
  readonly onWarning?: (text: string) => void;
}

export const exportBundleDoor = entry(
  "exportBundle",
  ["bundle", anyBundle],
  ["format", oneOf(exportNames)],
  optionsOf(fields<ExportOptions>()({ name: fileName, onWarning: callback<(text: string) => void>() })),
);

/**
 * A bundle as the files of another project, by their names. Stages at strength 0 do nothing and are left out. Stages that have
 * no form in the format are left out too, each with a warning that names it, the reason, and formats that could hold it.
 * @throws SluiceError `bad_bundle` if no stage has a form in the format, naming each, and if the bundle is not sound
 */
export async function exportBundle(
  bundle: BundleInput,
  format: ExportName,
  options: ExportOptions = {},
): Promise<ReadonlyMap<string, Uint8Array>> {
  const [given, chosen, { name, onWarning: warn = () => undefined }] = exportBundleDoor.read(bundle, format, options);
  const { manifest, file } = given;
  const config = shapeOf(manifest.base);
  const { stages } = compose(config, [{ bundle: given }]);
  const active = formats[chosen].isLive ? stages : stages.filter(({ strength }) => strength !== 0);
  for (const { id } of stages.filter((each) => !active.includes(each)))
    warn(`stage "${id}": its strength is 0, it is left out`);
  const reasons = new Map(active.map((stage) => [stage, formats[chosen].obstacle(stage, config, active)]));
  const fitting = active.filter((stage) => reasons.get(stage) === null);
  const others = active.flatMap((stage) => {
    const reason = reasons.get(stage);
    return reason ? [`stage "${stage.id}" ${reason}${alternatives(stage, config, chosen)}`] : [];
  });
  if (fitting.length === 0) {
    const why = others.length > 0 ? others.join("; ") : "every stage has the strength 0";
    throw new SluiceError("bad_bundle", `${file} cannot be written as ${chosen}: ${why}`, {
      hint: "docs/exporting.md says what each format holds.",
    });
  }
  for (const each of others) warn(`${each}; it is left out`);
  const plain = (name ?? manifest.name).replace(/[^\w.-]+/g, "-").replace(/^[-.]+|-+$/g, "");
  return formats[chosen].write({ stages: fitting, config, manifest, name: plain || "bundle", warn });
}

/** Formats that could hold a stage. */
function alternatives(stage: Stage, config: ModelShape, without: ExportName): string {
  const names = exportNames.filter(
    (name) => name !== without && formats[name].obstacle(stage, config, [stage]) === null,
  );
  return names.length > 0 ? ` (possible: ${names.join(", ")})` : "";
}
