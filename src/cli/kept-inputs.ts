/** A command never overwrites its inputs. */
import { readdir, realpath, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { SluiceError } from "../errors.ts";
import { COMPANIONS } from "../model/changed-model.ts";
import type { CommandShape } from "./command-shape.ts";
import { optionName } from "./option-name.ts";
import type { RawArguments } from "./parse-arguments.ts";

/**
 * Compares the files that outputs name with the files that all other words of the command line name. A model's folder
 * counts as the files that make the model.
 * @throws SluiceError `usage` if an output is an input
 */
export async function keepInputs({ options }: Pick<CommandShape, "options">, raw: RawArguments): Promise<void> {
  const given = [...raw.options].map(([key, texts]) => ({ key, texts, isOutput: options[key]?.isOutput ?? false }));
  const outputs = given.filter(({ isOutput }) => isOutput);
  if (outputs.length === 0) return;
  const written = new Map<string, string>();
  for (const { key, texts } of outputs) {
    for (const path of texts) {
      const place = await placeOf(path);
      const other = place === undefined ? undefined : written.get(place);
      if (other !== undefined) {
        throw new SluiceError("usage", `${other} and ${optionName(key)} both name ${path}`, {
          hint: "Name a file for each.",
        });
      }
      if (place !== undefined) written.set(place, optionName(key));
    }
  }
  const others = given.filter(({ isOutput }) => !isOutput).flatMap(({ texts }) => texts);
  // `--with FILE:as=PREFIX`
  const inputs = [...raw.positionals, ...others.map((text) => text.replace(/:as=[^:]*$/, ""))];
  const read = new Map<string, string>();
  for (const path of (await Promise.all(inputs.map(filesOf))).flat()) {
    const id = await identityOf(path);
    if (id !== undefined) read.set(id, path);
  }
  for (const { key, texts } of outputs) {
    for (const path of texts) {
      const id = await identityOf(path);
      const input = id === undefined ? undefined : read.get(id);
      if (input === undefined) continue;
      throw new SluiceError("usage", `${optionName(key)} ${path} would overwrite ${input}, which is an input`, {
        hint: "Name another file.",
      });
    }
  }
}

/** One key for all names of an output; undefined for what two may write to, such as /dev/null. */
async function placeOf(path: string): Promise<string | undefined> {
  const found = await stat(path).catch(() => null);
  if (found) return found.isFile() || found.isDirectory() ? `${found.dev}:${found.ino}` : undefined;
  return join(await realpath(dirname(resolve(path))).catch(() => dirname(resolve(path))), basename(path));
}

/** A file, or the files of a folder that make a model. */
async function filesOf(path: string): Promise<readonly string[]> {
  // Not a folder: a file, or not a path.
  const entries = await readdir(path).catch(() => null);
  if (!entries) return [path];
  return entries.filter(isModelFile).map((entry) => join(path, entry));
}

function isModelFile(name: string): boolean {
  const isWeights = /^(?:adapter_)?model(?:-\d+-of-\d+)?\.safetensors(?:\.index\.json)?$|\.gguf$/.test(name);
  return isWeights || name === "adapter_config.json" || name === "config.json" || COMPANIONS.includes(name);
}

/** One key for all names of a file; undefined if there is no file. */
async function identityOf(path: string): Promise<string | undefined> {
  // A prompt or a number is not a path, and a missing file cannot be lost.
  const found = await stat(path).catch(() => null);
  return found?.isFile() ? `${found.dev}:${found.ino}` : undefined;
}
