/** Names of models on a hub: `org/name`, with a revision, a file or a quantisation. */

/** What such a name means. */
export interface HubReference {
  /** `org/name` */
  readonly repo: string;
  /** A branch, a tag or a commit. */
  readonly revision: string;
  /** The GGUF file that was named, as a path in the repository; null if none was. */
  readonly file: string | null;
  /** The quantisation whose GGUF file is meant, such as `Q4_K_M`; null if none was named. */
  readonly quantization: string | null;
  /** Whether it began with `hf://`, so that no folder can be meant. */
  readonly isExplicit: boolean;
}

/** The branch that is meant if none is named. */
export const DEFAULT_REVISION = "main";

/** What huggingface.co allows in either part of an id: it neither begins nor ends with a dot or a hyphen. */
const PART = String.raw`[A-Za-z0-9_](?:[\w.-]{0,94}[A-Za-z0-9_])?`;
const ID = new RegExp(`^(${PART}/${PART})(?=$|[@:/])(.*)$`);

/** Revisions that have a slash themselves: pull requests and conversions of the hub. */
const REF_PATH = /^(refs\/(?:pr|convert|heads|tags)\/[^/:]+)/;

/** The page of a model, of its files at a revision, or of one of these: what users copy from their browser. */
const PAGE = /^https:\/\/(?:huggingface\.co|hf\.co)\/([^/?#]+\/[^/?#]+)(?:\/(?:tree|blob)\/([^?#]+?))?\/?(?:[?#].*)?$/;
/** What else the hub has under two words. */
const OTHER_PAGES = /^(?:datasets|spaces|docs|blog|api|models|collections|organizations|settings|papers)\//;

/**
 * Reads `[hf://]org/name[@revision][/file.gguf][:QUANTISATION]`; `/file.gguf` may come before `@revision` too.
 * Also the address of a model's page on huggingface.co.
 * @returns null for anything else: a path such as `./a/b`, `a/b/c` or `/a/b`, an address, a single word
 */
export function parseReference(text: string): HubReference | null {
  const [, page, at] = PAGE.exec(text) ?? [];
  if (page !== undefined) return OTHER_PAGES.test(page) ? null : parseReference(`hf://${page}${at ? `@${at}` : ""}`);
  const isExplicit = text.startsWith("hf://");
  const [, repo, rest] = ID.exec(isExplicit ? text.slice("hf://".length) : text) ?? [];
  if (repo === undefined || rest === undefined || !isAllowedId(repo)) return null;
  const tail = parseTail(rest);
  return tail && { repo, isExplicit, ...tail };
}

/** A reference as a user would write it. */
export function showReference({ repo, revision, file, quantization }: Omit<HubReference, "isExplicit">): string {
  const at = revision === DEFAULT_REVISION ? "" : `@${revision}`;
  return `${repo}${at}${file === null ? "" : `/${file}`}${quantization === null ? "" : `:${quantization}`}`;
}

/** The hub's own rules beyond its characters. */
function isAllowedId(repo: string): boolean {
  return !/--|\.\./.test(repo) && !repo.endsWith(".git");
}

function parseTail(rest: string): Pick<HubReference, "revision" | "file" | "quantization"> | null {
  const [, before = "", quantization = null] = /^(.*?)(?::([\w.-]+))?$/.exec(rest) ?? [];
  const [path = "", at] = splitOnce(before, "@");
  let file = path === "" ? null : path.slice(1);
  let revision = DEFAULT_REVISION;
  if (at !== undefined) {
    const named = REF_PATH.exec(at)?.[1] ?? splitOnce(at, "/")[0] ?? "";
    const behind = at.slice(named.length);
    if (/\.gguf$/i.test(behind)) {
      if (file !== null) return null;
      file = behind.slice(1);
      revision = named;
    } else {
      // A branch may be named with slashes.
      revision = at;
    }
  }
  if (!isRevision(revision) || (file !== null && (quantization !== null || !isGgufPath(file)))) return null;
  return { revision, file, quantization };
}

function splitOnce(text: string, separator: string): readonly [string, string?] {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

/** Names become parts of paths on disk, so what could leave the folder is none. */
function isRevision(text: string): boolean {
  return /^[\w.+/-]{1,200}$/.test(text) && isPlainPath(text);
}

function isGgufPath(text: string): boolean {
  return /\.gguf$/i.test(text) && isPlainPath(text);
}

/** Whether a path of a repository stays inside whatever folder it is put into, on every system. */
export function isPlainPath(path: string): boolean {
  const hasOddCharacter = [...path].some((character) => character < " " || '\\:*?"<>|'.includes(character));
  return !hasOddCharacter && path.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}
