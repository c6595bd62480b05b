/** `sluice bundle export` */
import { basename, dirname, join, resolve } from "node:path";
import { SluiceError } from "../../errors.ts";
import { exportNames } from "../../interventions/export/export-format.ts";
import { argument, defineCommand } from "../command.ts";
import { prepareOutFolder, writeFolder } from "../model-folder.ts";
import { name, oneOf, output, required } from "../options.ts";
import { type OutFile, prepareOutFile, writeTogether } from "../out-file.ts";

export const bundleExport = defineCommand({
  name: "bundle export",
  summary: "Write a bundle as another project's file or folder",
  description: [
    "gguf: additions to the stream as a control vector; npz: vectors, an array SITE.LAYER each; pyreft: a folder of LoReFT " +
      "interventions; eap-json and edge-pruning: the edges that a mask keeps; csv: neurons set to values; hf-hooks: everything, " +
      "as a Python file of forward hooks for transformers, with its tensors beside it.",
    "What a format cannot hold is left out with a warning that names the stage, and refused if nothing is left.",
  ],
  positionals: { file: argument("The bundle, one .safetensors file") },
  options: {
    to: required("FORMAT", "gguf, npz, pyreft, eap-json, edge-pruning, csv or hf-hooks", oneOf(...exportNames)),
    out: output(
      required("PATH", "The file to write; for pyreft, and for hf-hooks unless it ends in .py, a new folder", name),
    ),
  },
  examples: [
    {
      line: "bundle export calm.safetensors --to gguf --out calm.gguf",
      shows: "A steering vector for llama.cpp:",
    },
    {
      line: "bundle export calm.safetensors --to hf-hooks --out calm.py",
      shows: "Hooks for transformers, calm.py and calm.hooks.safetensors:",
    },
  ],
  async run({ file, to, out }, { library, signal, stdout, note }) {
    const bundle = await library.loadBundle(file, { signal });
    const isFolder = to === "pyreft" || (to === "hf-hooks" && !out.endsWith(".py"));
    const targets = isFolder
      ? null
      : await prepareFiles(out, to === "hf-hooks" ? [".py", ".hooks.safetensors"] : null, file);
    if (isFolder) await prepareOutFolder(out);
    const { exportBundle } = await import("../../interventions/export/export-bundle.ts");
    const files = await exportBundle(bundle, to, { onWarning: note });
    if (targets) {
      const contents = [...files.values()];
      await writeTogether(targets.map(({ target }, i) => [target, contents[i] as Uint8Array]));
      for (const [i, { path }] of targets.entries()) {
        stdout.write(`${path}: ${(contents[i] as Uint8Array).length.toLocaleString("en")} bytes\n`);
      }
      return;
    }
    await writeFolder(out, files, signal);
    stdout.write(`${out}: ${[...files.keys()].join(", ")}\n`);
  },
});

interface Target {
  readonly path: string;
  readonly target: OutFile;
}

/**
 * @param endings of the files that are written under one name; null: the file alone
 * @param bundle is not overwritten
 */
async function prepareFiles(
  out: string,
  endings: readonly string[] | null,
  bundle: string,
): Promise<readonly Target[]> {
  const stem = join(dirname(out), basename(out, ".py"));
  const paths = endings ? endings.map((ending) => `${stem}${ending}`) : [out];
  const targets: Target[] = [];
  for (const path of paths) {
    if (resolve(path) === resolve(bundle)) {
      throw new SluiceError("usage", `--out ${out} would overwrite ${bundle}, which is the input`, {
        hint: "Name another file.",
      });
    }
    targets.push({ path, target: await prepareOutFile(path) });
  }
  return targets;
}
