/** The routes of a hub, by its API and by the addresses of its files. */
import { SluiceError } from "../errors.ts";
import { retrying, type TransientFailure } from "../formats/url-fetch.ts";
import { HubError, htmlInstead } from "./errors.ts";
import {
  type FileHead,
  isFileName,
  MOST_FILES,
  type RepoFile,
  type RepoInfo,
  readEtag,
  readFileList,
  readSize,
} from "./repo-files.ts";
import { type HubAccess, type HubRequest, type HubResponse, requestHub } from "./request.ts";

/** A file's bytes from a position on. */
export interface FileBody {
  /** Where the body begins: 0 if the server does not serve ranges. */
  readonly begin: number;
  /** Bytes of the whole file; null if the server does not say. */
  readonly size: number | null;
  /** The name of the content, as the answer has it; null if it has none. */
  readonly etag: string | null;
  readonly chunks: AsyncIterable<Uint8Array>;
}

/** A file of a repository at a commit. */
export interface FileAddress {
  readonly repo: string;
  readonly commit: string;
  readonly path: string;
}

/** Lists longer than this are no model's. */
const MAX_PAGES = 1000;
const MAX_JSON_BYTES = 64_000_000;

export class HubClient {
  readonly access: HubAccess;
  readonly #note: (text: string) => void;
  #retries = 0;

  /** @param note receives notices for the user */
  constructor(access: HubAccess, note: (text: string) => void = () => undefined) {
    this.access = access;
    this.#note = note;
  }

  /** Several questions and files are under way at once: the first to be tried again says so. */
  tellRetry(message: string, attempt: number): void {
    if (attempt < this.#retries) return;
    this.#retries = attempt + 1;
    // The hint is for the failure that ends it.
    this.#note(`${message.split("\n")[0]}; trying again`);
  }

  /** How messages name a file. */
  describe({ repo, commit, path }: FileAddress): string {
    return `${repo}/${path}${/^[0-9a-f]{40}$/.test(commit) ? "" : `@${commit}`}`;
  }

  /**
   * A repository at a branch, tag or commit.
   * @throws HubError `unserved` if the server has no such route
   */
  async info(repo: string, revision: string, signal: AbortSignal | undefined, isQuick = false): Promise<RepoInfo> {
    const model = `${this.access.endpoint}/api/models/${repo}`;
    const delays = isQuick ? [] : undefined;
    try {
      return await this.#info(repo, `${model}/revision/${encodeURIComponent(revision)}`, signal, delays);
    } catch (error) {
      const isElsewhere = error instanceof HubError && (error.kind === "unserved" || error.kind === "missing_file");
      if (!isElsewhere || revision !== "main") throw isElsewhere ? unserved(error) : error;
      return await this.#info(repo, model, signal, delays).catch((second: unknown) => {
        throw second instanceof HubError && second.kind === "missing_file" ? unserved(second) : second;
      });
    }
  }

  /**
   * Every file of a commit, with sizes and the names of their contents.
   * @throws HubError `unserved` if the server has no such route
   */
  async tree(repo: string, commit: string, signal: AbortSignal | undefined): Promise<readonly RepoFile[]> {
    const { endpoint } = this.access;
    const where = `the files of ${repo}`;
    const first = `${endpoint}/api/models/${repo}/tree/${encodeURIComponent(commit)}?recursive=true&expand=false`;
    const files: RepoFile[] = [];
    const asked = new Set<string>();
    for (let next: string | null = first; next !== null && asked.size < MAX_PAGES && files.length < MOST_FILES; ) {
      // A server whose pages lead back to an earlier one would go on forever.
      if (asked.has(next)) break;
      asked.add(next);
      const { json, headers, url } = await this.#json(next, { repo, where }, signal);
      const page = readFileList(json);
      if (!page) throw new HubError("unserved", `${where}: ${endpoint} did not send a list`);
      files.push(...page);
      next = nextPage(headers.get("link"), url, endpoint);
    }
    return files;
  }

  /**
   * What the hub says of some files, in one answer.
   * @throws HubError `unserved` if the server has no such route
   */
  async pathsInfo(
    repo: string,
    commit: string,
    paths: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<readonly RepoFile[]> {
    const where = `the files of ${repo}`;
    const address = `${this.access.endpoint}/api/models/${repo}/paths-info/${encodeURIComponent(commit)}`;
    const { json } = await this.#json(address, { repo, where, method: "POST", json: { paths, expand: false } }, signal);
    const files = readFileList(json);
    if (!files) throw new HubError("unserved", `${where}: ${this.access.endpoint} did not send a list`);
    return files;
  }

  /** The headers of a file; null if there is no such file. `commit` may be a branch or a tag. */
  async head(address: FileAddress, signal: AbortSignal | undefined): Promise<FileHead | null> {
    const request: HubRequest = { repo: address.repo, where: this.describe(address), method: "HEAD" };
    try {
      const answer = await this.#retrying(signal, () => this.#request(this.#fileAddress(address), request, signal));
      await answer.cancel();
      return this.#headOf(answer);
    } catch (error) {
      if (error instanceof HubError && error.kind === "missing_file") return null;
      throw error;
    }
  }

  /**
   * A file's bytes from `begin` on, or the whole file. Not tried again: whoever has read a part goes on from there.
   * @throws HubError, BusyServer
   */
  async open(address: FileAddress, begin: number, signal: AbortSignal | undefined): Promise<FileBody> {
    const where = this.describe(address);
    const request: HubRequest = { repo: address.repo, where, begin, takesHtml: /\.html?$/i.test(address.path) };
    const answer = await this.#request(this.#fileAddress(address), request, signal);
    const chunks = answer.chunks(this.access.stallMs);
    const linked = readSize(this.#hubHeader(answer, "x-linked-size"));
    const etag = this.#etagOf(answer);
    if (answer.status === 200) return { begin: 0, size: lengthOf(answer.headers) ?? linked, etag, chunks };
    const [, first, total] = /^bytes (?:(\d+)-\d+|\*)\/(\d+|\*)$/.exec(answer.headers.get("content-range") ?? "") ?? [];
    if (answer.status === 416) {
      await answer.cancel();
      return { begin, size: readSize(total), etag, chunks: nothing() };
    }
    // Without Content-Range the range is what was asked for: across origins a page may not see the header.
    if (first !== undefined && Number(first) !== begin) {
      await answer.cancel();
      // Its ranges are wrong: what has come can only be skipped in a body from the beginning.
      return this.open(address, 0, signal);
    }
    return { begin, size: readSize(total) ?? linked, etag, chunks };
  }

  #fileAddress({ repo, commit, path }: FileAddress): string {
    const parts = path.split("/").map(encodeURIComponent).join("/");
    return `${this.access.endpoint}/${repo}/resolve/${encodeURIComponent(commit)}/${parts}`;
  }

  #headOf(answer: HubResponse): FileHead {
    const header = (name: string) => this.#hubHeader(answer, name);
    const commit = header("x-repo-commit");
    // The tag and length of another host are its own business.
    const own = answer.isElsewhere ? null : answer.headers;
    return {
      etag: this.#etagOf(answer),
      size: readSize(header("x-linked-size")) ?? (own && lengthOf(own)),
      commit: isFileName(commit) ? commit : null,
    };
  }

  #etagOf(answer: HubResponse): string | null {
    return readEtag(this.#hubHeader(answer, "x-linked-etag") ?? this.#hubHeader(answer, "etag"));
  }

  #hubHeader(answer: HubResponse, name: string): string | null {
    return answer.hubHeaders.get(name);
  }

  async #info(
    repo: string,
    address: string,
    signal: AbortSignal | undefined,
    delays: readonly number[] | undefined,
  ): Promise<RepoInfo> {
    const { json } = await this.#json(address, { repo, where: repo }, signal, delays);
    const { sha, siblings } = (json ?? {}) as { readonly sha?: unknown; readonly siblings?: unknown };
    if (!isFileName(sha)) {
      throw new HubError("unserved", `${repo}: ${this.access.endpoint} does not say which commit it is at`);
    }
    return { commit: sha, files: readFileList(siblings) };
  }

  #json(
    address: string,
    request: HubRequest,
    signal: AbortSignal | undefined,
    delays?: readonly number[],
  ): Promise<{ readonly json: unknown; readonly headers: Headers; readonly url: string }> {
    return this.#retrying(
      signal,
      async () => {
        // A server that leaves the type of its answers to chance may call JSON a page.
        const answer = await this.#request(address, { ...request, takesHtml: true }, signal);
        const text = await readText(answer, request.where, this.access.stallMs);
        try {
          return { json: JSON.parse(text) as unknown, headers: answer.headers, url: address };
        } catch {
          if (/^\s*</.test(text)) throw htmlInstead(this.access.endpoint, request.where);
          throw new HubError("unserved", `${request.where}: ${this.access.endpoint} sent something that is not JSON`);
        }
      },
      delays,
    );
  }

  #request(address: string, request: HubRequest, signal: AbortSignal | undefined): Promise<HubResponse> {
    return requestHub(this.access, address, request, signal);
  }

  #retrying<T>(
    signal: AbortSignal | undefined,
    task: () => Promise<T>,
    // Short questions are not worth the last, long pauses of a download.
    delays: readonly number[] = this.access.retryDelaysMs.slice(0, 3),
  ): Promise<T> {
    // Without a network, waiting for one helps nobody who may have meant a folder.
    return retrying(delays, signal, task, {
      isHopeless: (failure, attempt) => attempt > 0 && isUnreachable(failure),
      onRetry: ({ message }, attempt) => this.tellRetry(message, attempt),
    });
  }
}

/** Whether no server was found at all. */
function isUnreachable({ report }: TransientFailure): boolean {
  const { code } = ((report.cause as Error | undefined)?.cause ?? {}) as { readonly code?: string };
  return code === "ENOTFOUND" || code === "EAI_AGAIN" || code === "ECONNREFUSED";
}

/** A 404 without the hub's own words: the route is missing, not the model. */
function unserved(error: HubError): HubError {
  return new HubError("unserved", error.message.split("\n")[0] as string, error.hint);
}

/** The next page by a Link header. A mirror may pass on the address of the hub that it mirrors, whose path it serves. */
function nextPage(link: string | null, from: string, endpoint: string): string | null {
  const [, target] = /<([^>]*)>\s*;[^,<]*\brel="?next"?/.exec(link ?? "") ?? [];
  if (target === undefined || !URL.canParse(target, from)) return null;
  const url = new URL(target, from);
  return url.origin === new URL(endpoint).origin ? url.href : `${endpoint}${url.pathname}${url.search}`;
}

/** The length of an answer's body; null if it is not said, or is that of a compressed form. */
function lengthOf(headers: Headers): number | null {
  const isCompressed = (headers.get("content-encoding") ?? "identity") !== "identity";
  return isCompressed ? null : readSize(headers.get("content-length"));
}

async function readText(answer: HubResponse, where: string, stallMs: number): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of answer.chunks(stallMs)) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > MAX_JSON_BYTES) {
      throw new SluiceError("bad_file", `${where}: the server's answer has more than ${MAX_JSON_BYTES} bytes`);
    }
  }
  return text + decoder.decode();
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
