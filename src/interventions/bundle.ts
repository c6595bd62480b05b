/** A bundle of interventions as a file: a safetensors file whose metadata holds the manifest. See docs/bundle-format.md. */

import { entry } from "../arguments/entry.ts";
import { bytes as anyBytes, fileName } from "../arguments/rules.ts";
import { SluiceError } from "../errors.ts";
import { MAX_NESTING, nesting } from "../formats/json.ts";
import { parseSafetensors, readSafetensors, type SafetensorsFile, writeSafetensors } from "../formats/safetensors.ts";
import type { FileSource } from "../formats/source.ts";
import { duplicateKey } from "../formats/strict-json.ts";
import { show } from "../show.ts";
import { bundle as anyBundle, type BundleInput } from "./arguments.ts";
import type { Bundle } from "./bundle-types.ts";
import { checkManifest } from "./manifest.ts";

export const readBundleDoor = entry("readBundle", ["bytes", anyBytes], ["file", fileName]);

export const writeBundleDoor = entry("writeBundle", ["bundle", anyBundle]);

const FORMAT = "sluice.interventions/1";

/**
 * Reads a bundle and checks its manifest; whether it fits a model, and its tensors, is for `compose` to say.
 * @param bytes the whole file
 * @param file names it in errors
 * @throws `bad_file` for a damaged safetensors file, `bad_bundle` naming stage and field
 */
export function readBundle(bytes: Uint8Array, file: string): Bundle {
  const [whole] = readBundleDoor.read(bytes, file);
  return bundleOf(parseSafetensors(whole, file, "bundle"), file);
}

/**
 * Reads a bundle from a source of files that has any part of them at hand: its tensors are in memory once.
 * @param path in the source
 * @param file names it in errors
 * @throws `bad_file`, `bad_bundle`, `not_found`, `aborted`
 */
export async function readBundleFrom(
  source: FileSource,
  path: string,
  file: string,
  signal?: AbortSignal,
): Promise<Bundle> {
  return bundleOf(await readSafetensors(source, path, file, "bundle", signal), file);
}

function bundleOf({ tensors, metadata }: SafetensorsFile, file: string): Bundle {
  const rest = new Map(metadata);
  const format = metadata.get("format");
  const text = metadata.get("manifest");
  if (format !== FORMAT) {
    const problem = format === undefined ? "is missing" : `is ${show(format)}`;
    throw new SluiceError("bad_bundle", `${file}: format ${problem} in its metadata, not "${FORMAT}"`, {
      hint: format?.startsWith("sluice.interventions/")
        ? "It was written for another version of the format."
        : `This safetensors file is not a bundle of interventions${whatInstead([...tensors.keys()])}.`,
    });
  }
  if (text === undefined) throw new SluiceError("bad_bundle", `${file}: manifest is missing in its metadata`);
  rest.delete("format");
  rest.delete("manifest");
  return { file, manifest: checkManifest(parseManifest(text, file), file), tensors, metadata: rest };
}

/** What a safetensors file is that is not a bundle, by the names of its tensors, if that is known. */
function whatInstead(names: readonly string[]): string {
  if (names.some((name) => /\.lora_[AB]\./.test(name))) return ", but the weights of a PEFT adapter";
  if (names.some((name) => /(?:^|\.)(?:embed_tokens|wte)\.weight$/.test(name))) return ", but the weights of a model";
  return "";
}

function parseManifest(text: string, file: string): unknown {
  if (nesting(text, MAX_NESTING) > MAX_NESTING) {
    throw new SluiceError("bad_bundle", `${file}: manifest is nested more than ${MAX_NESTING} levels deep`);
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new SluiceError("bad_bundle", `${file}: manifest is not valid JSON: ${(cause as Error).message}`, {
      hint: "NaN and Infinity, which Python's json module writes, are not JSON.",
      cause,
    });
  }
  const twice = duplicateKey(text);
  if (twice !== null) throw new SluiceError("bad_bundle", `${file}: manifest holds ${show(twice)} twice`);
  return json;
}

/**
 * The file of a bundle; tensors keep the dtype in which they are given.
 * @throws `bad_bundle` for a manifest that could not be read back, `usage` for a tensor whose bytes do not fit its shape
 */
export function writeBundle(bundle: BundleInput): Uint8Array<ArrayBuffer> {
  const [given] = writeBundleDoor.read(bundle);
  const about = new Map([...given.metadata, ["format", FORMAT], ["manifest", manifestText(given)]]);
  return writeSafetensors(given.tensors, about);
}

function manifestText({ file, manifest }: Bundle): string {
  let text: string;
  try {
    text = JSON.stringify(manifest);
  } catch (cause) {
    // What a caller put under `fit` may be anything: a cycle, a bigint, nested without end.
    throw new SluiceError("bad_bundle", `${file}: manifest has no form in JSON`, { cause });
  }
  parseManifest(text, file);
  return text;
}
