/** `sluice bundle import` */
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { SluiceError } from "../../errors.ts";
import { importMethods } from "../../interventions/import/foreign-kind.ts";
import { affineSites } from "../../interventions/stage.ts";
import { layerTensorNamed } from "../../interventions/tensor-names.ts";
import { showText } from "../../show.ts";
import { argument, defineCommand } from "../command.ts";
import { defined } from "../defined.ts";
import { decimal, flag, name, oneOf, optional, output, type Parser, required, wholeNumber } from "../options.ts";
import { prepareOutFile } from "../out-file.ts";
import { readWholeFile } from "../read-file.ts";
import { withChecks } from "./checks.ts";
import { adapterOption, modelArgument } from "./model.ts";

/** Endings of files that importers read; a folder's others are left alone. */
const READ = /\.(?:gguf|pt|pth|bin|pkl|statedict|npy|npz|safetensors|svec|json|csv)$/i;

/** Files of a folder that are read: more are another kind of folder. */
const MOST_FILES = 4096;

const layerList: Parser<"all" | readonly number[]> = (given, option) => {
  if (given === "all") return given;
  const [, first, last] = /^(\d{1,4})\.\.(\d{1,4})$/.exec(given) ?? [];
  const [from, to] = [Number(first), Number(last)];
  if (from <= to) return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  const layers = given.split(",").map((part) => (/^\d{1,4}$/.test(part.trim()) ? Number(part) : Number.NaN));
  if (layers.every(Number.isSafeInteger)) return layers;
  throw new SluiceError("usage", `${option}: "${showText(given, 60)}" names no layers`, {
    hint: "Write the first and the last, 10..20, or all, or a list such as 3,4,5.",
  });
};

const numbering: Parser<0 | 1> = (given, option) => (oneOf("0", "1")(given, option) === "1" ? 1 : 0);

export const bundleImport = defineCommand({
  name: "bundle import",
  summary: "Make a bundle of another project's file or folder",
  description: [
    "Reads control vectors (GGUF), refusal_direction, CAA and bare vectors (.pt, .npy, .npz, .safetensors), steering-vectors, " +
      "activation-steering (.svec), vLLM-Hook, ml-aura, pyreft, EAP-IG, Edge-Pruning, ACDC, Neuronpedia, neuron values as CSV, " +
      "and features of SAELens. The kind is recognised by content.",
    "What a file leaves open, options decide; without them it is refused with the choices. Files of PyTorch are read as data: " +
      "nothing in them is run.",
    "The model's config says what fits. If its weights are on this machine too, the bundle gets checks: the highest logits after three prompts.",
  ],
  positionals: { file: argument("The file or folder to import"), model: modelArgument },
  options: {
    as: optional("METHOD", "What becomes of a direction: addition, ablation, ace or clamp", oneOf(...importMethods)),
    layer: optional("N", "The layer to act in, from 0", wholeNumber(0)),
    layers: optional(
      "LAYERS",
      "Layers to act in, FROM..TO, all, or a list such as 3,4,5; of a file with several vectors, those to take",
      layerList,
    ),
    scale: optional("X", "A factor of what is added; the coordinate that ace sets, or clamp's bound", decimal()),
    site: optional("SITE", "Where vectors act, in place of where their kind says", oneOf(...affineSites)),
    numbering: optional("0|1", "The number that the file gives to the first block", numbering, 0),
    feature: optional("N", "Which feature of a sparse autoencoder", wholeNumber(0)),
    keep: optional("N", "How many edges to keep of a file of scores, the largest first", wholeNumber(1)),
    out: output(required("FILE", "The bundle to write", name)),
    noChecks: flag("Do not run the model to give the bundle checks"),
    adapter: adapterOption,
  },
  examples: [
    {
      line: "bundle import happy.gguf mistral-7b --out happy.safetensors",
      shows: "A control vector for a model, of which config.json alone is read:",
    },
    {
      line: "bundle import vector.pt mistral-7b --layer 15 --as ablation --out ablated.safetensors",
      shows: "A bare vector of PyTorch, taken away from the stream after layer 15:",
    },
  ],
  async run({ file, model, out, layer, layers, noChecks, adapter, ...choices }, context) {
    const { signal, stdout, note } = context;
    if (layer !== undefined && layers !== undefined) {
      throw new SluiceError("usage", "--layer and --layers cannot be given together", {
        hint: "Leave one of them out.",
      });
    }
    const target = await prepareOutFile(out);
    const files = await readFiles(file, out, signal);
    const [{ importBundle }, { readModelConfig }, { writeBundle }] = await Promise.all([
      import("../../interventions/import/import-bundle.ts"),
      import("../../model/read-model-config.ts"),
      import("../../interventions/bundle.ts"),
    ]);
    const { as, scale, site, numbering, feature, keep } = choices;
    const config = await readModelConfig(model, { signal });
    const every = Array.from({ length: config.num_hidden_layers }, (_, index) => index);
    const chosen = layer === undefined ? (layers === "all" ? every : layers) : [layer];
    const bundle = await importBundle(files, file, config, {
      ...defined({ as, scale, site, numbering, feature, keep, layers: chosen }),
      onWarning: note,
    });
    const whole = noChecks ? bundle : await withChecks(bundle, { model, adapter }, out, context);
    await target.write(writeBundle(whole));
    for (const { id, kind } of bundle.manifest.stages) {
      const count = new Set(
        [...bundle.tensors.keys()].map(layerTensorNamed).flatMap((each) => (each?.id === id ? [each.layer] : [])),
      ).size;
      stdout.write(
        `${out}: ${id}, ${kind === "edge_mask" ? "an edge mask" : `${count} ${count === 1 ? "layer" : "layers"}`}\n`,
      );
    }
  },
});

/** A file, with what its project puts beside it, or the files of a folder but for the bundle that an earlier import left. */
async function readFiles(path: string, out: string, signal: AbortSignal): Promise<ReadonlyMap<string, Uint8Array>> {
  const isFolder = (await stat(path).catch(() => null))?.isDirectory() ?? false;
  const paths = isFolder ? await listed(path, resolve(out)) : [path, ...(await metadataBeside(path))];
  const files = new Map<string, Uint8Array>();
  for (const each of paths) files.set(each, await readWholeFile(each, signal));
  return files;
}

async function listed(folder: string, out: string): Promise<readonly string[]> {
  const names = (await readdir(folder)).filter((each) => READ.test(each)).sort();
  const paths = names.map((each) => join(folder, each)).filter((each) => resolve(each) !== out);
  if (names.length <= MOST_FILES) return paths;
  throw new SluiceError("bad_file", `${folder} has ${names.length} files, more than any folder that is imported`);
}

/** refusal_direction says in a file of its own which layer a direction is of. */
async function metadataBeside(path: string): Promise<readonly string[]> {
  if (!/(?:^|[-_.])direction\.pt$/.test(basename(path))) return [];
  const beside = join(dirname(path), basename(path).replace(/direction\.pt$/, "direction_metadata.json"));
  return (await stat(beside).catch(() => null)) === null ? [] : [beside];
}
