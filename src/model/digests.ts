/** Digests that bundles use to name the files they were made for. */

import { throwIfAborted } from "../errors.ts";
import { weightFiles } from "../formats/huggingface.ts";
import type { ModelSource } from "../formats/open-source.ts";
import type { FileSource } from "../formats/source.ts";
import { openModelFiles } from "../hub/open-model.ts";
import type { BundleInput, PrefixedBundle } from "../interventions/arguments.ts";
import type { ComposeSettings } from "../interventions/bundle-types.ts";
import { digestsDoor, weightsDigestDoor } from "./doors.ts";
import type { DigestOptions } from "./options.ts";

/** Bytes read at a time. */
const PIECE = 4 << 20;

/**
 * The SHA-256 of those files of a model that some bundle names. `model.with(bundles, { digests })` compares them with
 * the bundles, and warns if a bundle was made for other weights. For `model.safetensors` it is the file's digest;
 * for shards, the digest of their sorted digests joined by newlines. Such files are read completely; from an address
 * they are downloaded again.
 * @param source the model's folder, as for `load`
 * @throws SluiceError `not_found`, `bad_file`, `aborted`
 */
export async function digestsFor(
  bundles: readonly (BundleInput | PrefixedBundle)[],
  source: ModelSource,
  options: DigestOptions = {},
): Promise<NonNullable<ComposeSettings["digests"]>> {
  const [given, place, { hub, signal, onProgress }] = digestsDoor.read(bundles, source, options);
  const bases = given.map(({ bundle }) => bundle.manifest.base);
  const wantsWeights = bases.some(({ weights_sha256 }) => weights_sha256 !== undefined);
  const wantsTokenizer = bases.some(({ tokenizer_sha256 }) => tokenizer_sha256 !== undefined);
  if (!wantsWeights && !wantsTokenizer) return {};
  const files = await openModelFiles(place, { hub, signal });
  try {
    const hasTokenizer = wantsTokenizer && (await files.exists("tokenizer.json", signal));
    return {
      ...(wantsWeights && { weights_sha256: await weightsDigest(files, { signal, onProgress }) }),
      ...(hasTokenizer && { tokenizer_sha256: await fileDigest(files, "tokenizer.json", signal) }),
    };
  } finally {
    await files.close();
  }
}

/**
 * The SHA-256 of a model's weights, as in {@link digestsFor}: a bundle fitted to these weights names it.
 * @throws SluiceError `not_found`, `bad_file`, `aborted`
 */
export async function weightsDigestOf(source: ModelSource, options: DigestOptions = {}): Promise<string> {
  const [place, wanted] = weightsDigestDoor.read(source, options);
  const files = await openModelFiles(place, { hub: wanted.hub, signal: wanted.signal });
  try {
    return await weightsDigest(files, wanted);
  } finally {
    await files.close();
  }
}

async function weightsDigest(
  files: FileSource,
  { signal, onProgress }: { readonly [Key in keyof DigestOptions]: DigestOptions[Key] | undefined },
): Promise<string> {
  const { names, isSingle } = await weightFiles(files, signal);
  const sizes: number[] = [];
  for (const name of names) sizes.push(await files.size(name, signal));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const digests: string[] = [];
  let before = 0;
  for (const [i, name] of names.entries()) {
    digests.push(await fileDigest(files, name, signal, (read) => onProgress?.(before + read, total)));
    before += sizes[i] ?? 0;
  }
  if (isSingle) return digests[0] as string;
  return digestOf([new TextEncoder().encode(digests.sort().join("\n"))]);
}

async function fileDigest(
  files: FileSource,
  name: string,
  signal: AbortSignal | undefined,
  onRead: (bytes: number) => void = () => undefined,
): Promise<string> {
  const size = await files.size(name, signal);
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < size; at += PIECE) {
      throwIfAborted(signal);
      const end = Math.min(size, at + PIECE);
      yield await files.read(name, at, end, signal);
      onRead(end);
    }
  }
  return digestOf(pieces());
}

async function digestOf(pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<string> {
  // Bundlers for browsers swap this module for sha256.ts (scripts/page-faces.json says so), hence the late import.
  const { Sha256 } = await import("../formats/node-sha256.ts");
  const hash = new Sha256();
  for await (const piece of pieces) hash.update(piece);
  return hash.hex();
}
