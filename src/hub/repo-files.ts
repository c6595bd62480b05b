/** What the hub says of a repository's files. */

/** A file of a repository, as far as it is known. */
export interface RepoFile {
  readonly path: string;
  /** Bytes; null if the hub does not say. */
  readonly size: number | null;
  /** The SHA-1 that git knows it by; for a file in LFS that of its pointer. Null if the hub does not say. */
  readonly oid: string | null;
  /** The SHA-256 of a file in LFS; null for others, and if the hub does not say. */
  readonly sha256: string | null;
}

/** A repository at a revision. */
export interface RepoInfo {
  readonly commit: string;
  /** Its files; null if the hub does not list them. */
  readonly files: readonly RepoFile[] | null;
}

/** What the headers of a file's address say. Each is null if it is not said. */
export interface FileHead {
  /** The name of its content: SHA-1 of git, SHA-256 of LFS, or what the server likes. */
  readonly etag: string | null;
  readonly size: number | null;
  readonly commit: string | null;
}

/** A file that can be fetched: its content has a name. */
export interface HubFile {
  readonly path: string;
  /** Bytes; null if nobody says. */
  readonly size: number | null;
  /** The name of its content in a cache. */
  readonly etag: string;
  /** What its content must have as SHA-256, if that is known. */
  readonly sha256: string | null;
  /** What its content, or LFS's pointer to it, must have as git's SHA-1 of a blob, if that is known. */
  readonly gitSha1: string | null;
}

const SHA256 = /^[0-9a-f]{64}$/;
const SHA1 = /^[0-9a-f]{40}$/;

/** A name that is safe as that of a file: of a commit or of a content. */
export function isFileName(text: unknown): text is string {
  return typeof text === "string" && /^[\w+=,~.-]{1,200}$/.test(text) && !/^\.+$/.test(text);
}

/** `W/"abc"` → `abc`. Null for what cannot be a file's name. */
export function readEtag(header: string | null): string | null {
  if (header === null) return null;
  const etag = header
    .trim()
    .replace(/^W\//, "")
    .replace(/^"(.*)"$/, "$1");
  return isFileName(etag) ? etag : null;
}

/** A repository with more files is no model's: what comes after them is left out. */
export const MOST_FILES = 100_000;

/** A list of files as `siblings` of a model, or as a tree: entries that cannot be read are left out. */
export function readFileList(entries: unknown): readonly RepoFile[] | null {
  if (!Array.isArray(entries)) return null;
  return entries.slice(0, MOST_FILES).flatMap((entry: unknown) => {
    const { path, rfilename, type, size, oid, blobId, lfs } = (entry ?? {}) as Readonly<Record<string, unknown>>;
    const name = path ?? rfilename;
    if (typeof name !== "string" || (type !== undefined && type !== "file")) return [];
    const large = (typeof lfs === "object" && lfs !== null ? lfs : {}) as Readonly<Record<string, unknown>>;
    return [
      {
        path: name,
        size: readSize(large.size) ?? readSize(size),
        oid: hex(SHA1, oid ?? blobId),
        sha256: hex(SHA256, large.oid ?? large.sha256),
      },
    ];
  });
}

/**
 * What is to be fetched of a file, from what a list and its headers say. The headers count, as in huggingface_hub, if they
 * name a digest; the list fills in what they leave out.
 * @returns null if neither names its content
 */
export function fetchable(path: string, listed: RepoFile | null, head: FileHead | null): HubFile | null {
  const said = head?.etag ?? null;
  const isDigest = said !== null && (hex(SHA256, said) ?? hex(SHA1, said)) !== null;
  const etag = isDigest ? said : (listed?.sha256 ?? listed?.oid ?? (said === null ? null : ownName(said, path)));
  if (etag === null) return null;
  const sha256 = listed?.sha256 ?? hex(SHA256, etag);
  const byTag = hex(SHA1, etag);
  const byList = listed?.oid ?? null;
  // If the two disagree, one of them is not what it seems, and only the size can be checked.
  const differ = byTag !== null && byList !== null && byTag !== byList;
  const gitSha1 = sha256 !== null || differ ? null : (byTag ?? byList);
  return { path, size: head?.size ?? listed?.size ?? null, etag, sha256, gitSha1 };
}

/**
 * What a server likes to call a content, such as nginx, whose ETags are a time and a size, which shards of a model can have
 * in common: as the name of a content it needs the path.
 */
function ownName(etag: string, path: string): string {
  const rest = encodeURIComponent(path).replace(/[^\w.~-]/g, (other) =>
    other === "%" ? "=" : `=${other.charCodeAt(0)}`,
  );
  return `${etag.slice(0, 80)}~${rest.slice(-110)}`;
}

/** The SHA-256 that an ETag is; null for one that is something else. */
export function sha256In(etag: string | null): string | null {
  return hex(SHA256, etag);
}

export function readSize(value: unknown): number | null {
  const size = typeof value === "string" && /^\d{1,16}$/.test(value) ? Number(value) : value;
  return Number.isSafeInteger(size) && (size as number) >= 0 ? (size as number) : null;
}

function hex(pattern: RegExp, value: unknown): string | null {
  const text = typeof value === "string" ? value.toLowerCase().replace(/^sha256:/, "") : "";
  return pattern.test(text) ? text : null;
}
