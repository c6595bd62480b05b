/** Whether what a store holds is still what the hub said: digests of contents, computed anew. */
import { throwIfAborted } from "../errors.ts";
import { ContentDigest } from "./digest.ts";
import { fetchable } from "./repo-files.ts";
import type { CachedModel, HubStore } from "./store.ts";

/**
 * - `right`: its digest is what its name says.
 * - `wrong`: it is not, and the file was thrown away.
 * - `unknown`: its name is not a digest, so nobody can tell.
 */
export type VerifiedState = "right" | "wrong" | "unknown";

export interface VerifiedFile {
  readonly repo: string;
  readonly commit: string;
  readonly path: string;
  readonly bytes: number;
  readonly state: VerifiedState;
  /** For a wrong one: which digest, what it is and what it should be. */
  readonly why: string | null;
}

/** Bytes read at a time. */
const PIECE_BYTES = 4 << 20;

/** Reads every content of a model once. Wrong ones are thrown away, so that they are fetched anew when they are needed. */
export async function verifyModel(
  store: HubStore,
  { repo, revisions }: CachedModel,
  signal: AbortSignal | undefined,
  onBytes: (bytes: number) => void,
): Promise<readonly VerifiedFile[]> {
  const seen = new Map<string, Pick<VerifiedFile, "state" | "why">>();
  const verified: VerifiedFile[] = [];
  for (const { commit, files } of revisions) {
    for (const { path, bytes, etag } of files) {
      throwIfAborted(signal);
      const known = etag === null ? undefined : seen.get(etag);
      const result = known ?? (await verifyFile(store, { repo, commit, path, bytes, etag }, signal, onBytes));
      if (etag !== null) seen.set(etag, result);
      verified.push({ repo, commit, path, bytes, ...result });
    }
  }
  for (const [etag, { state }] of seen) if (state === "wrong") await store.discard(repo, etag);
  return verified;
}

async function verifyFile(
  store: HubStore,
  file: Pick<VerifiedFile, "repo" | "commit" | "path" | "bytes"> & { readonly etag: string | null },
  signal: AbortSignal | undefined,
  onBytes: (bytes: number) => void,
): Promise<Pick<VerifiedFile, "state" | "why">> {
  const { repo, commit, path, bytes, etag } = file;
  const named = fetchable(path, null, { etag, size: bytes, commit });
  if (!named || (named.sha256 === null && named.gitSha1 === null)) {
    onBytes(bytes);
    return { state: "unknown", why: null };
  }
  const digest = new ContentDigest(named);
  await digest.start();
  const source = await store.open(repo, commit);
  try {
    for (let at = 0; at < bytes; at += PIECE_BYTES) {
      throwIfAborted(signal);
      const piece = await source.read(path, at, Math.min(bytes, at + PIECE_BYTES), signal);
      digest.add(piece);
      onBytes(piece.length);
    }
    const { isRight, why } = await digest.verdict(() => source.readAll(path, Number.MAX_SAFE_INTEGER, signal));
    return isRight ? { state: "right", why: null } : { state: "wrong", why };
  } finally {
    await source.close();
  }
}
