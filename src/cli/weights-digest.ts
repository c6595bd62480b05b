/** The digest by which a bundle names the weights it was made for. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { throwIfAborted } from "../errors.ts";

/**
 * SHA-256 of model.safetensors, as hex; of shards, the digest of their sorted hex digests joined by newlines. Null for a
 * model that is no folder of this machine: hashing it would mean downloading it a second time.
 */
export async function weightsDigest(folder: string, signal: AbortSignal): Promise<string | null> {
  if (/^https?:/i.test(folder)) return null;
  const single = join(folder, "model.safetensors");
  if (await exists(single)) return fileDigest(single, signal);
  const index = join(folder, "model.safetensors.index.json");
  if (!(await exists(index))) return null;
  const { weight_map } = JSON.parse(await readFile(index, "utf8")) as { readonly weight_map: Record<string, string> };
  const digests: string[] = [];
  for (const shard of new Set(Object.values(weight_map))) digests.push(await fileDigest(join(folder, shard), signal));
  return createHash("sha256").update(digests.sort().join("\n")).digest("hex");
}

/**
 * What bundles ask to be compared with: the digests that some of them name, of what is there.
 * @param folder the model's
 */
export async function digestsFor(
  bases: readonly { readonly weights_sha256?: string; readonly tokenizer_sha256?: string }[],
  folder: string,
  signal: AbortSignal,
): Promise<{ readonly weights_sha256?: string; readonly tokenizer_sha256?: string }> {
  const tokenizer = join(folder, "tokenizer.json");
  const weights = bases.some((base) => base.weights_sha256 !== undefined) ? await weightsDigest(folder, signal) : null;
  const wantsTokenizer = bases.some((base) => base.tokenizer_sha256 !== undefined);
  return {
    ...(weights !== null && { weights_sha256: weights }),
    ...(wantsTokenizer && (await exists(tokenizer)) && { tokenizer_sha256: await fileDigest(tokenizer, signal) }),
  };
}

async function fileDigest(path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
    throwIfAborted(signal);
    hash.update(chunk as Uint8Array);
  }
  return hash.digest("hex");
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}
