/**
 * A hub on this machine, with the routes of huggingface.co and a second host that holds large files. It misbehaves on
 * demand. Node only.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A repository: its files at its commits, the last of which is `main`. */
export interface FakeRepo {
  readonly commits: readonly FakeCommit[];
  /** `gated`: with the token, but without an accepted licence. `private`: without the token it does not exist. */
  readonly access?: "gated" | "private";
}

export interface FakeCommit {
  /** 40 hexadecimal digits. */
  readonly sha: string;
  readonly files: Readonly<Record<string, Uint8Array | string>>;
  /** Branches and tags at this commit besides `main`. */
  readonly refs?: readonly string[];
}

/** What the server does wrong. Paths are those of the repository. */
export interface Misbehaviour {
  /** Routes that are missing: answered with 404 and without the hub's headers. */
  readonly without?: readonly (
    | "info"
    | "revision"
    | "tree"
    | "paths-info"
    | "siblings"
    | "head"
    | "ranges"
    | "etag"
    | "linked"
    | "commits"
  )[];
  /** Entries of a page of the tree; default 2. */
  readonly pageSize?: number;
  /** A file's body ends after that many bytes and the connection is dropped, so many times. */
  readonly cut?: { readonly path: string; readonly after: number; times: number };
  /** A file's body pauses forever after that many bytes, so many times; -1: no answer begins. */
  readonly stall?: { readonly path: string; readonly after: number; times: number };
  /** One byte is changed on the way. */
  readonly corrupt?: string;
  /** A large file whose SHA-256 answers to HEAD do not name. */
  readonly misnamed?: string;
  /** What names every file, as on servers that make names of times and sizes. */
  readonly oneEtag?: string;
  /** A file's length is said to be another by the hub. */
  readonly lie?: { readonly path: string; readonly size: number };
  /** Files answered with a web page; `*` for everything. */
  readonly html?: string;
  /** Files that are refused with this status. */
  readonly refuse?: { readonly path: string; readonly status: number };
  /** The first answers are 503. */
  busy?: number;
  /** Bytes per second of large files. */
  readonly rate?: number;
}

export interface LoggedRequest {
  readonly method: string;
  readonly url: string;
  readonly host: "hub" | "storage";
  readonly range: string | undefined;
  readonly token: string | undefined;
}

/** Files above this many bytes are in LFS, at the second host. */
const LFS_BYTES = 2000;

export class FakeHub {
  readonly requests: LoggedRequest[] = [];
  /** Replaced by tests between calls. */
  misbehaviour: Misbehaviour = {};
  readonly repos: Readonly<Record<string, FakeRepo>>;
  readonly token = "hf_test";
  /** Bytes of bodies that were sent. */
  sentBytes = 0;
  #hub: Server | undefined;
  #storage: Server | undefined;

  constructor(repos: Readonly<Record<string, FakeRepo>>) {
    this.repos = repos;
  }

  static async start(repos: Readonly<Record<string, FakeRepo>>): Promise<FakeHub> {
    const fake = new FakeHub(repos);
    fake.#hub = await listen((request, response) => fake.#serve("hub", request, response));
    fake.#storage = await listen((request, response) => fake.#serve("storage", request, response));
    return fake;
  }

  get url(): string {
    return `http://127.0.0.1:${portOf(this.#hub)}`;
  }

  get storageUrl(): string {
    return `http://127.0.0.1:${portOf(this.#storage)}`;
  }

  /** Requests whose path fits, since the log was last emptied. */
  asked(pattern: RegExp): readonly LoggedRequest[] {
    return this.requests.filter(({ url }) => pattern.test(url));
  }

  async stop(): Promise<void> {
    for (const server of [this.#hub, this.#storage]) {
      server?.closeAllConnections();
      await new Promise((resolve) => server?.close(resolve));
    }
  }

  async #serve(host: "hub" | "storage", request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "GET", url = "/", headers } = request;
    this.requests.push({ method, url, host, range: headers.range, token: headers.authorization });
    if (this.misbehaviour.html === "*") return html(response);
    if ((this.misbehaviour.busy ?? 0) > 0) {
      this.misbehaviour.busy = (this.misbehaviour.busy ?? 0) - 1;
      response.writeHead(503, { "Retry-After": "0" }).end();
      return;
    }
    if (host === "storage") return this.#serveContent(new URL(url, this.storageUrl), request, response);
    const { pathname, searchParams } = new URL(url, this.url);
    const [, api, repoName = "", route = ""] = /^\/(api\/models\/)?([^/]+\/[^/]+)(?:\/(.*))?$/.exec(pathname) ?? [];
    const repo = this.repos[repoName];
    const hasToken = headers.authorization === `Bearer ${this.token}`;
    if (!repo || (repo.access && !hasToken)) {
      return refuse(response, 401, "RepoNotFound", "Invalid username or password.");
    }
    if (api) {
      const body = method === "POST" ? await bodyOf(request) : "";
      return this.#serveApi(repoName, repo, route, searchParams, body, response);
    }
    const [, revision = "", path = ""] = /^resolve\/([^/]+)\/(.+)$/.exec(route) ?? [];
    return this.#serveFile(repoName, repo, decodeURIComponent(revision), decodeURIComponent(path), request, response);
  }

  async #serveApi(
    name: string,
    repo: FakeRepo,
    route: string,
    query: URLSearchParams,
    body: string,
    response: ServerResponse,
  ): Promise<void> {
    const without = new Set(this.misbehaviour.without);
    const [kind = "", revision = "main"] = route.split("/").map(decodeURIComponent);
    if (without.has(kind === "" ? "info" : (kind as "tree"))) return notServed(response);
    const commit = commitAt(repo, revision);
    if (!commit) return refuse(response, 404, "RevisionNotFound", `Invalid rev id: ${revision}`);
    const all = Object.entries(commit.files).map(([path, content]) => entryOf(path, bytesOf(content)));
    if (kind === "" || kind === "revision") {
      const siblings = all.map(({ path }) => ({ rfilename: path }));
      return json(response, {
        id: name,
        sha: commit.sha,
        private: false,
        ...(!without.has("siblings") && { siblings }),
      });
    }
    if (kind === "paths-info") {
      const { paths } = JSON.parse(body) as { paths: readonly string[] };
      return json(
        response,
        all.filter(({ path }) => paths.includes(path)),
      );
    }
    if (kind !== "tree") return notServed(response);
    const size = this.misbehaviour.pageSize ?? 2;
    const at = Number(query.get("cursor") ?? 0);
    const folders = [
      ...new Set(all.map(({ path }) => path.split("/")).flatMap((parts) => (parts.length > 1 ? [parts[0]] : []))),
    ];
    const entries = [...folders.map((path) => ({ type: "directory", path, size: 0, oid: "0".repeat(40) })), ...all];
    const next = `${this.url}/api/models/${name}/tree/${revision}?recursive=true&cursor=${at + size}`;
    const link: Record<string, string> = at + size < entries.length ? { Link: `<${next}>; rel="next"` } : {};
    return json(response, entries.slice(at, at + size), link);
  }

  async #serveFile(
    name: string,
    repo: FakeRepo,
    revision: string,
    path: string,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const { refuse: refused, html: page, lie, misnamed, oneEtag, without = [] } = this.misbehaviour;
    const commit =
      without.includes("commits") && /^[0-9a-f]{40}$/.test(revision) ? undefined : commitAt(repo, revision);
    if (!commit) return refuse(response, 404, "RevisionNotFound", `Invalid rev id: ${revision}`);
    const found = commit.files[path];
    if (repo.access === "gated") {
      return refuse(
        response,
        403,
        "GatedRepo",
        `Access to model ${name} is restricted and you are not in the authorized list.`,
      );
    }
    if (refused?.path === path) return void response.writeHead(refused.status).end();
    if (request.method === "HEAD" && without.includes("head")) return void response.writeHead(405).end();
    if (found === undefined)
      return refuse(response, 404, "EntryNotFound", "Entry not found", { "X-Repo-Commit": commit.sha });
    if (page === path) return html(response);
    const content = bytesOf(found);
    const { oid, lfs } = entryOf(path, content);
    const size = String(lie?.path === path ? lie.size : content.length);
    const etag = `"${lfs?.oid ?? oid}"`;
    const own: Record<string, string> = {
      "X-Repo-Commit": commit.sha,
      ...(!without.includes("etag") && { ETag: lfs ? `"${oid}"` : etag }),
      ...(lfs && !without.includes("linked") && { "X-Linked-Etag": etag, "X-Linked-Size": size }),
      ...(oneEtag !== undefined && { ETag: oneEtag, ...(lfs && { "X-Linked-Etag": oneEtag }) }),
      ...(misnamed === path && request.method === "HEAD" && { "X-Linked-Etag": '"-1"' }),
    };
    if (lfs) {
      const location = `${this.storageUrl}/${lfs.oid}?path=${encodeURIComponent(path)}&repo=${name}&signature=abc`;
      response.writeHead(302, { ...own, Location: location, "Content-Length": "0" }).end();
      return;
    }
    await this.#send(path, content, request, response, own);
  }

  async #serveContent(url: URL, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = url.searchParams.get("path") ?? "";
    const repo = this.repos[url.searchParams.get("repo") ?? ""];
    const wanted = url.pathname.slice(1);
    const contents = repo?.commits.map(({ files }) => bytesOf(files[path] ?? "")) ?? [];
    const content = contents.find((bytes) => sha256(bytes) === wanted);
    if (!content) return refuse(response, 404, "", "No such object");
    await this.#send(path, content, request, response, { ETag: '"of-the-storage"' });
  }

  async #send(
    path: string,
    whole: Uint8Array,
    request: IncomingMessage,
    response: ServerResponse,
    headers: Record<string, string>,
  ): Promise<void> {
    const { without = [], cut, stall, corrupt, rate } = this.misbehaviour;
    const content = corrupt === path ? damaged(whole) : whole;
    const [, first] = /^bytes=(\d+)-/.exec(request.headers.range ?? "") ?? [];
    const begin = first === undefined || without.includes("ranges") ? 0 : Number(first);
    if (begin > 0 && begin >= content.length) {
      response.writeHead(416, { "Content-Range": `bytes */${content.length}` }).end();
      return;
    }
    const part = content.subarray(begin);
    const range: Record<string, string> =
      begin > 0 ? { "Content-Range": `bytes ${begin}-${content.length - 1}/${content.length}` } : {};
    const isStalled = stall?.path === path && stall.times-- > 0;
    if (isStalled && stall.after < 0) return;
    response.writeHead(begin > 0 ? 206 : 200, { ...headers, ...range, "Content-Length": String(part.length) });
    if (request.method === "HEAD") return void response.end();
    const isCut = cut?.path === path && cut.times-- > 0;
    const end = isCut ? cut.after : isStalled ? stall.after : part.length;
    const step = rate === undefined ? end : Math.max(1, Math.floor(rate / 50));
    for (let at = 0; at < end && !response.destroyed; at += step) {
      const piece = part.subarray(at, Math.min(end, at + step));
      this.sentBytes += piece.length;
      await new Promise((resolve) => response.write(piece, resolve));
      if (rate !== undefined) await new Promise((resolve) => setTimeout(resolve, 20));
    }
    if (isCut) response.destroy();
    else if (!isStalled) response.end();
  }
}

/** The same but for the last byte. */
function damaged(content: Uint8Array): Uint8Array {
  // Not slice(), which is a view of a Node Buffer.
  const bytes = Uint8Array.from(content);
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  return bytes;
}

function commitAt({ commits }: FakeRepo, revision: string): FakeCommit | undefined {
  if (revision === "main") return commits.at(-1);
  return commits.find(({ sha, refs = [] }) => sha === revision || refs.includes(revision));
}

function entryOf(path: string, content: Uint8Array) {
  const size = content.length;
  const isLarge = size > LFS_BYTES;
  const digest = sha256(content);
  const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${digest}\nsize ${size}\n`;
  const oid = gitOid(isLarge ? new TextEncoder().encode(pointer) : content);
  return { type: "file", path, size, oid, ...(isLarge && { lfs: { oid: digest, size, pointerSize: pointer.length } }) };
}

/** The SHA-1 that git gives a file. */
export function gitOid(content: Uint8Array): string {
  return createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");
}

const digests = new WeakMap<Uint8Array, string>();

function sha256(content: Uint8Array): string {
  const known = digests.get(content) ?? createHash("sha256").update(content).digest("hex");
  digests.set(content, known);
  return known;
}

function bytesOf(content: Uint8Array | string): Uint8Array {
  return typeof content === "string" ? new TextEncoder().encode(content) : content;
}

function json(response: ServerResponse, value: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(200, { "Content-Type": "application/json; charset=utf-8", ...headers }).end(JSON.stringify(value));
}

function html(response: ServerResponse): void {
  response.writeHead(200, { "Content-Type": "text/html; charset=utf-8" }).end("<html>Please log in</html>");
}

function notServed(response: ServerResponse): void {
  response.writeHead(404, { "Content-Type": "text/plain" }).end("Not found");
}

function refuse(
  response: ServerResponse,
  status: number,
  code: string,
  message: string,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { "X-Error-Code": code, "X-Error-Message": message, ...headers }).end(message);
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of request) text += chunk;
  return text;
}

/** As of huggingface.co: pages of any origin may ask, and see the hub's headers. */
const CORS: Readonly<Record<string, string>> = {
  "Access-Control-Allow-Origin": "*",
  "Access-Control-Allow-Headers": "Authorization, Range, Content-Type",
  "Access-Control-Expose-Headers":
    "X-Repo-Commit, X-Error-Code, X-Error-Message, ETag, Link, Accept-Ranges, Content-Range, X-Linked-Size, X-Linked-Etag",
};

function listen(serve: (request: IncomingMessage, response: ServerResponse) => Promise<void>): Promise<Server> {
  const server = createServer((request, response) => {
    for (const [name, value] of Object.entries(CORS)) response.setHeader(name, value);
    if (request.method === "OPTIONS") return void response.writeHead(204).end();
    serve(request, response).catch((error: unknown) => response.destroy(error as Error));
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

function portOf(server: Server | undefined): number {
  if (!server) throw new Error("This hub was not started");
  return (server.address() as AddressInfo).port;
}
