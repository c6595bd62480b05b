/** Reads a bundle from a path, an address, a picked file or bytes. */

import { SluiceError, throwIfAborted } from "../errors.ts";
import { openFiles } from "../formats/file-list.ts";
import { openPlace } from "../formats/open-source.ts";
import { type FileSource, tooLarge } from "../formats/source.ts";
import { readBundle, readBundleFrom } from "../interventions/bundle.ts";
import type { Bundle } from "../interventions/bundle-types.ts";
import { show, showText } from "../show.ts";
import { loadBundleDoor } from "./doors.ts";

/** Bundles are read whole; a dense mask of a large model with its constants is far smaller than this. */
const MOST_BYTES = 1 << 30;

/**
 * Reads a bundle of interventions and checks its manifest; `model.with` checks whether it fits a model.
 * @param source a path or `file:` URL (Node), an http(s) address, a file that a user picked, or the bytes themselves
 * @throws SluiceError `not_found`, `bad_file`, `bad_bundle`, `aborted`
 */
export async function loadBundle(
  source: string | URL | Blob | Uint8Array,
  options: { readonly signal?: AbortSignal } = {},
): Promise<Bundle> {
  const [given, { signal }] = loadBundleDoor.read(source, options);
  throwIfAborted(signal);
  if (given instanceof Uint8Array) return readBundle(given, "the bundle");
  if (given instanceof Blob) {
    const name = "name" in given ? String(given.name) : "the bundle";
    return readParts(openFiles([new File([given], name)]), name, name, signal);
  }
  const address = String(given);
  const cut = Math.max(address.lastIndexOf("/"), address.lastIndexOf("\\")) + 1;
  const file = address.slice(cut);
  if (file === "") {
    throw new SluiceError("usage", `${show(address)} does not name a bundle file`, {
      hint: "A bundle is one .safetensors file.",
    });
  }
  const folder = await openPlace(address.slice(0, cut) || "./");
  try {
    if (await holdsModel(folder, file, signal)) {
      throw new SluiceError("bad_bundle", `${showText(address)} is a model's folder, not a bundle of interventions`, {
        hint: "A bundle is one .safetensors file.",
      });
    }
    // A server's file is one request.
    if (isDistant(folder)) return readBundle(await folder.readAll(file, MOST_BYTES, signal), address);
    return await readParts(folder, file, address, signal);
  } finally {
    await folder.close();
  }
}

async function readParts(
  source: FileSource,
  path: string,
  file: string,
  signal: AbortSignal | undefined,
): Promise<Bundle> {
  const size = await source.size(path, signal);
  if (size > MOST_BYTES) throw tooLarge(file, size, MOST_BYTES);
  const bundle = await readBundleFrom(source, path, file, signal);
  await source.settle?.(signal);
  return bundle;
}

function isDistant({ label }: FileSource): boolean {
  return /^https?:/i.test(label);
}

async function holdsModel(folder: FileSource, name: string, signal: AbortSignal | undefined): Promise<boolean> {
  // A server's file is not a folder; requests below its address may get odd answers.
  if (isDistant(folder)) return false;
  for (const file of ["config.json", "adapter_config.json"]) {
    if (await folder.exists(`${name}/${file}`, signal)) return true;
  }
  return false;
}
