/** What is to be fetched of files: their sizes and the names of their contents, by whatever a server offers for that. */
import { SluiceError } from "../errors.ts";
import type { HubClient } from "./client.ts";
import { HubError } from "./errors.ts";
import { type FileHead, fetchable, type HubFile, type RepoFile } from "./repo-files.ts";
import { Turns } from "./turns.ts";

/** Questions that are asked at a time. */
const AT_ONCE = 8;

/** Answers for the files of one commit. Lists are asked for once. */
export class FileFacts {
  readonly #client: HubClient;
  readonly #repo: string;
  readonly #revision: string;
  #address: string;
  /** Whether a file was found at that address. */
  #isServed = false;
  readonly #signal: AbortSignal | undefined;
  readonly #heads: ReadonlyMap<string, FileHead>;
  readonly #turns = new Turns(AT_ONCE);
  #tree: Promise<ReadonlyMap<string, RepoFile>> | null = null;

  /**
   * @param address the commit, or the revision on a server that does not say which commit it is at
   * @param revision the branch, tag or commit that is at this commit
   * @param heads what is known already
   */
  constructor(
    client: HubClient,
    repo: string,
    address: string,
    revision: string,
    signal: AbortSignal | undefined,
    heads: ReadonlyMap<string, FileHead> = new Map(),
  ) {
    this.#client = client;
    this.#repo = repo;
    this.#address = address;
    this.#revision = revision;
    this.#signal = signal;
    this.#heads = heads;
  }

  /** What the addresses of files name: the commit, or the revision on a server that has files at branches alone. */
  get address(): string {
    return this.#address;
  }

  /** Every path of the commit; null if the server does not list them. */
  async names(): Promise<readonly string[] | null> {
    const listed = await this.#listed();
    return listed.size > 0 ? [...listed.keys()] : null;
  }

  /**
   * @param isOptional whether a refused file counts as one that does not exist
   * @returns files by their paths, without those that do not exist
   * @throws SluiceError `not_found` if a server names the content of a file nowhere
   */
  async of(
    paths: readonly string[],
    isOptional: (path: string) => boolean = () => false,
  ): Promise<ReadonlyMap<string, HubFile>> {
    // Where redirects are hidden, a list says more than headers, which are then another host's.
    const seen = this.#client.access.redirects === "seen";
    const listing = this.#listed();
    // If the headers fail first, nobody waits for the list.
    listing.catch(() => undefined);
    const heads = seen ? await this.#headsOf(paths, isOptional) : new Map<string, FileHead | null>();
    const listed = await listing;
    const unknown = paths.filter((path) => !fetchable(path, listed.get(path) ?? null, heads.get(path) ?? null));
    const more =
      unknown.length > 0 ? await this.#askFor(unknown, !seen, heads, isOptional) : new Map<string, RepoFile>();
    const files = new Map<string, HubFile>();
    for (const path of paths) {
      const head = heads.get(path);
      if (head === null) continue;
      const file = fetchable(path, listed.get(path) ?? more.get(path) ?? null, head ?? null);
      if (!file) throw this.#unnamed(path);
      files.set(path, file);
    }
    return files;
  }

  /** What neither headers nor the list name. */
  async #askFor(
    paths: readonly string[],
    byHead: boolean,
    heads: Map<string, FileHead | null>,
    isOptional: (path: string) => boolean,
  ): Promise<ReadonlyMap<string, RepoFile>> {
    if (byHead) for (const [path, head] of await this.#headsOf(paths, isOptional)) heads.set(path, head);
    const missing = paths.filter((path) => heads.get(path) !== null && !heads.get(path)?.etag);
    if (missing.length === 0) return new Map();
    return byPath(await orNothing(this.#client.pathsInfo(this.#repo, this.#address, missing, this.#signal)));
  }

  #listed(): Promise<ReadonlyMap<string, RepoFile>> {
    this.#tree ??= orNothing(this.#client.tree(this.#repo, this.#address, this.#signal)).then(byPath);
    return this.#tree;
  }

  /** Undefined for files of which the server does not answer that question, null for those that do not exist. */
  async #headsOf(
    paths: readonly string[],
    isOptional: (path: string) => boolean,
  ): Promise<Map<string, FileHead | null>> {
    const heads = new Map<string, FileHead | null>();
    const ask = async (path: string): Promise<void> => {
      try {
        heads.set(path, this.#heads.get(path) ?? (await this.#turns.take(() => this.#head(path))));
      } catch (error) {
        if (!(error instanceof HubError)) throw error;
        if (error.kind === "denied" && isOptional(path)) heads.set(path, null);
        else if (error.kind !== "unserved") throw error;
      }
    };
    await Promise.all(paths.map(ask));
    return heads;
  }

  /** The headers of a file at the commit, or at the revision if nothing was found at the commit yet. */
  async #head(path: string): Promise<FileHead | null> {
    const at = (commit: string) => this.#client.head({ repo: this.#repo, commit, path }, this.#signal);
    const head = await at(this.#address).catch((error: unknown) => {
      if (error instanceof HubError && error.kind === "missing_revision") return null;
      throw error;
    });
    if (head) this.#isServed = true;
    if (head || this.#isServed || this.#address === this.#revision) return head;
    const other = await at(this.#revision);
    if (other) this.#address = this.#revision;
    return other;
  }

  #unnamed(path: string): SluiceError {
    const where = this.#client.describe({ repo: this.#repo, commit: this.#address, path });
    return new SluiceError("not_found", `${where}: ${this.#client.access.endpoint} names its content nowhere`, {
      hint: "A hub sends X-Linked-Etag or ETag with a file, or lists SHA-256 or git's SHA-1. Check HF_ENDPOINT.",
    });
  }
}

function byPath(files: readonly RepoFile[]): ReadonlyMap<string, RepoFile> {
  return new Map(files.map((file) => [file.path, file]));
}

/** Nothing if a list cannot be had: what it would say is asked for in other ways. */
async function orNothing(list: Promise<readonly RepoFile[]>): Promise<readonly RepoFile[]> {
  try {
    return await list;
  } catch (error) {
    if (error instanceof SluiceError && error.code === "not_found") return [];
    throw error;
  }
}
