/**
 * Answers of servers: a hub and a plain web server, some of whose answers are wrong. What is read must be what they hold,
 * or be refused. Lengths, places and digests are known, so nothing wrong can pass for right.
 */
import { createHash } from "node:crypto";
import { openUrl } from "../../../src/formats/open-url.ts";
import type { FileSource } from "../../../src/formats/source.ts";
import { openModelFiles } from "../../../src/hub/open-model.ts";
import { openReference } from "../../../src/hub/page-hub.ts";
import type { HubReference } from "../../../src/hub/reference.ts";
import { editBytes } from "../byte-edits.ts";
import { editJson, picked } from "../json-edits.ts";
import { readJsonText } from "../json-places.ts";
import { smallLlama, sort } from "../models.ts";
import { plainResponse } from "../plain-response.ts";
import { onDisk } from "../scratch.ts";
import { Broken, type Files, mostlySmall, type Random, type Target } from "../target.ts";

const models = mostlySmall([smallLlama], [sort]);
const commit = "0123456789abcdef0123456789abcdef01234567";
const hubUrl = "http://hub.invalid";
const webUrl = "http://web.invalid/model";

/** An answer before it becomes a Response. */
interface Answer {
  status: number;
  readonly headers: Record<string, string>;
  body: Uint8Array<ArrayBuffer>;
}

const json = (value: unknown): Answer => ({
  status: 200,
  headers: { "content-type": "application/json" },
  body: new TextEncoder().encode(JSON.stringify(value)),
});

const missing = (): Answer => ({ status: 404, headers: { "x-error-code": "EntryNotFound" }, body: new Uint8Array() });

const digests = new WeakMap<Uint8Array, string>();

function digestOf(content: Uint8Array): string {
  const known = digests.get(content) ?? createHash("sha256").update(content).digest("hex");
  digests.set(content, known);
  return known;
}

const entryOf = ([path, content]: readonly [string, Uint8Array]) => ({
  type: "file",
  path,
  size: content.length,
  oid: "0".repeat(40),
  lfs: { oid: digestOf(content), size: content.length, pointerSize: 100 },
});

function hubAnswer(files: Files, { pathname }: URL, range: string | null): Answer {
  const route = pathname.replace(/^\/api\/models\/org\/name\/?/, "");
  if (pathname.startsWith("/api/")) {
    if (route.startsWith("tree/") || route.startsWith("paths-info/")) return json([...files].map(entryOf));
    const siblings = [...files.keys()].map((rfilename) => ({ rfilename }));
    return json({ id: "org/name", sha: commit, siblings });
  }
  const [, path = ""] = /^\/org\/name\/resolve\/[^/]+\/(.+)$/.exec(pathname) ?? [];
  const content = files.get(path);
  if (!content) return missing();
  const answer = fileAnswer(content, range);
  const about = {
    "x-repo-commit": commit,
    "x-linked-etag": `"${digestOf(content)}"`,
    "x-linked-size": `${content.length}`,
  };
  return { ...answer, headers: { ...answer.headers, ...about, etag: `"${digestOf(content)}"` } };
}

function fileAnswer(content: Uint8Array<ArrayBuffer>, range: string | null): Answer {
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(range ?? "") ?? [];
  if (first === undefined) return { status: 200, headers: { "content-length": `${content.length}` }, body: content };
  const begin = Number(first);
  const end = Math.min(content.length, last ? Number(last) + 1 : content.length);
  if (begin >= end)
    return { status: 416, headers: { "content-range": `bytes */${content.length}` }, body: new Uint8Array() };
  return {
    status: 206,
    headers: { "content-length": `${end - begin}`, "content-range": `bytes ${begin}-${end - 1}/${content.length}` },
    body: content.slice(begin, end),
  };
}

const names = [
  "content-length",
  "content-range",
  "etag",
  "x-linked-etag",
  "x-linked-size",
  "x-repo-commit",
  "link",
  "location",
];
const values = [
  "",
  "0",
  "-1",
  "1e9",
  "9".repeat(30),
  '"',
  'W/"x"',
  "bytes 0-0/1",
  "bytes 5-2/*",
  "a".repeat(5000),
  `<${hubUrl}/>; rel="next"`,
];
const statuses = [200, 204, 206, 301, 302, 304, 307, 400, 401, 403, 404, 408, 416, 429, 500, 502, 503];

/** Makes about one answer in four wrong. Bytes of files stay theirs unless a digest would show it. */
function spoil(answer: Answer, random: Random, hasDigests: boolean): Answer {
  if (random() > 0.25) return answer;
  const isJson = answer.headers["content-type"] === "application/json";
  const kind = picked(["status", "header", "header", "absent", "cut", "longer", "body", "page"] as const, random());
  const edit = { kind: "bytes", at: random(), change: "flip", length: 0, pick: random() } as const;
  if (kind === "status") return { ...answer, status: picked(statuses, random()) };
  if (kind === "header") {
    const name = picked(names, random());
    // A whole answer that says how long it is ends there, for every client.
    if (name === "content-length" && answer.status === 200) return answer;
    return { ...answer, headers: { ...answer.headers, [name]: picked(values, random()) } };
  }
  if (kind === "absent") {
    const gone = picked(names, random());
    return { ...answer, headers: Object.fromEntries(Object.entries(answer.headers).filter(([name]) => name !== gone)) };
  }
  if (kind === "cut") return { ...answer, body: answer.body.slice(0, Math.floor(random() * answer.body.length)) };
  if (kind === "longer")
    return { ...answer, body: editBytes(answer.body, { ...edit, at: 0, change: "repeat", length: 1 }) };
  if (kind === "page")
    return {
      ...answer,
      headers: { "content-type": "text/html" },
      body: new TextEncoder().encode("<!doctype html><p>Sign in"),
    };
  if (isJson) {
    const text = readJsonText(new TextDecoder().decode(answer.body));
    if (!text) return answer;
    const edited = editJson(text, { kind: "json", at: random(), change: "replace", pick: random() });
    return { ...answer, body: new TextEncoder().encode(edited) };
  }
  return hasDigests ? { ...answer, body: editBytes(answer.body, edit) } : answer;
}

/** Pauses between attempts pass a thousand times as fast. */
async function inHaste(work: () => Promise<void>): Promise<void> {
  const { setTimeout: usual } = globalThis;
  globalThis.setTimeout = ((run: () => void, ms = 0, ...rest: []) =>
    usual(run, ms / 1000, ...rest)) as typeof setTimeout;
  try {
    await work();
  } finally {
    globalThis.setTimeout = usual;
  }
}

async function withServer(serve: (url: URL, range: string | null) => Answer, work: () => Promise<void>): Promise<void> {
  const { fetch: usual } = globalThis;
  globalThis.fetch = async (input, init) => {
    const url = new URL(String(input));
    const { status, headers, body } = serve(url, new Headers(init?.headers).get("range"));
    const hasBody = init?.method !== "HEAD" && ![204, 304].includes(status);
    return plainResponse(url.href, { status, headers, body: hasBody ? body : null });
  };
  try {
    await inHaste(work);
  } finally {
    globalThis.fetch = usual;
  }
}

/** Reads everything twice, in whole and in parts, and compares. */
async function compare(source: FileSource, files: Files): Promise<void> {
  try {
    for (const [path, content] of files) {
      const whole = await source.readAll(path);
      const middle = content.length >> 1;
      const part = await source.read(path, middle, Math.min(content.length, middle + 1000));
      await source.settle?.();
      if (!equal(whole, content)) throw new Broken(`${path} is not what the server holds`);
      if (!equal(part, content.subarray(middle, middle + 1000))) throw new Broken(`a part of ${path} is another's`);
    }
  } finally {
    await source.close();
  }
}

const equal = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** Into the store of a page, which is in memory here; one case in 32 into Hugging Face's cache on disk. */
export const hub: Target = {
  name: "hub",
  seeds: () => models,
  edits: () => false,
  read: (files, random) => {
    const open = random() < 1 / 32 ? openOnDisk : openInPage;
    return withServer(
      (url, range) => spoil(hubAnswer(files, url, range), random, true),
      () => open((source) => compare(source, files)),
    );
  },
};

const reference: HubReference = {
  repo: "org/name",
  revision: "main",
  file: null,
  quantization: null,
  isExplicit: true,
};

// A page's store asks the browser to keep what it holds; there is none.
if (globalThis.navigator === undefined) Object.defineProperty(globalThis, "navigator", { value: {} });

async function openInPage(use: (source: FileSource) => Promise<void>): Promise<void> {
  await use(await openReference("org/name", reference, { hub: { endpoint: hubUrl }, streams: true }));
}

function openOnDisk(use: (source: FileSource) => Promise<void>): Promise<void> {
  return onDisk(new Map(), async (home) => {
    Object.assign(process.env, { HF_HOME: home, HF_ENDPOINT: hubUrl });
    await use(await openModelFiles("org/name", {}));
  });
}

export const web: Target = {
  name: "web",
  seeds: () => models,
  edits: () => false,
  read: (files, random) =>
    withServer(
      (url, range) => {
        const content = files.get(url.pathname.replace("/model/", ""));
        return spoil(content ? fileAnswer(content, range) : missing(), random, false);
      },
      async () => compare(await openUrl(webUrl), files),
    ),
};
