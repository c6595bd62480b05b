import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openCheckpoint } from "../../src/formats/huggingface.ts";
import { openSource } from "../../src/formats/open-source.ts";
import { storeFloat32, writeSafetensors } from "../../src/formats/safetensors.ts";
import { readJson } from "../../src/formats/source.ts";
import { openUrlBase } from "../../src/formats/url-base.ts";
import { refusal } from "./refusal.ts";

const LARGE = 3_000_000;
const files: Readonly<Record<string, Uint8Array>> = {
  "/m/data.bin": Uint8Array.from({ length: LARGE }, (_, i) => (i * 31 + (i >> 8)) % 256),
  "/m/long.safetensors": new Uint8Array(600_000),
  // More than a connection's buffers hold.
  "/m/huge.bin": new Uint8Array(64 << 20),
  "/m/empty": new Uint8Array(0),
  "/m/config.json": new TextEncoder().encode('{"model_type":"gpt2"}'),
  "/m/odd name 100%.json": new TextEncoder().encode("[1]"),
  "/m/model.safetensors": writeSafetensors(
    new Map([
      ["a", storeFloat32(Float32Array.of(1, 2, 3), [3])],
      ["b", storeFloat32(Float32Array.of(4), [1])],
    ]),
  ),
};

/** How the server answers: as a good one unless a test says otherwise. */
interface Manner {
  ranges?: boolean;
  chunked?: boolean;
  head?: boolean;
  gzip?: boolean;
  contentRange?: (header: string) => string | undefined;
  /** Answers instead of the files, until it returns false. */
  instead?: (request: IncomingMessage, response: ServerResponse) => boolean;
}
let manner: Manner = {};
/** What was asked: method, address, range. */
let asked: string[] = [];
let bytesSent = 0;
let server: Server;
let origin = "";

function answer(request: IncomingMessage, response: ServerResponse): void {
  asked.push(`${request.method} ${request.url} ${request.headers.range ?? ""}`.trim());
  if (manner.instead?.(request, response)) return;
  const { pathname } = new URL(request.url ?? "", origin);
  const file = files[decodeURIComponent(pathname)];
  if (!file || (request.method === "HEAD" && manner.head === false)) {
    response.writeHead(404).end("no");
    return;
  }
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
  let body = file;
  if (first !== undefined && manner.ranges !== false) {
    if (Number(first) >= file.length) {
      response.writeHead(416, { "Content-Range": `bytes */${file.length}`, "Content-Type": "text/html" }).end("<html>");
      return;
    }
    body = file.subarray(Number(first), Math.min(Number(last) + 1, file.length));
    const header = `bytes ${first}-${Number(first) + body.length - 1}/${file.length}`;
    const told = manner.contentRange ? manner.contentRange(header) : header;
    response.statusCode = 206;
    if (told) response.setHeader("Content-Range", told);
  } else if (manner.gzip && request.headers["accept-encoding"]?.includes("gzip")) {
    body = gzipSync(file);
    response.setHeader("Content-Encoding", "gzip");
  }
  if (!manner.chunked) response.setHeader("Content-Length", body.length);
  if (request.method === "HEAD") {
    response.end();
    return;
  }
  send(response, body);
}

/** In pieces, and no faster than they are taken. */
function send(response: ServerResponse, body: Uint8Array): void {
  const piece = body.subarray(0, 1 << 16);
  if (response.destroyed || body.length === 0) {
    response.end();
    return;
  }
  bytesSent += piece.length;
  const next = () => send(response, body.subarray(piece.length));
  if (response.write(piece)) setImmediate(next);
  else response.once("drain", next);
}

test.before(async () => {
  server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

test.before.each(() => {
  manner = {};
  asked = [];
  bytesSent = 0;
});

test.after(() => {
  server.closeAllConnections();
  server.close();
});

const openBase = (address = `${origin}/m`) => openUrlBase(address, { retryDelaysMs: [1, 1] });
const data = (begin: number, end: number) => (files["/m/data.bin"] as Uint8Array).slice(begin, end);

test("ranges of a file by range requests, nothing more of it", async () => {
  const source = await openSource(`${origin}/m`);
  assert.equal(await source.read("data.bin", 1_000_000, 1_000_100), data(1_000_000, 1_000_100));
  assert.equal(await source.read("data.bin", 0, 7), data(0, 7));
  assert.equal(await source.read("data.bin", LARGE - 5, LARGE), data(LARGE - 5, LARGE));
  assert.is((await source.read("data.bin", 9, 9)).length, 0);
  assert.equal(asked, [
    "GET /m/data.bin bytes=0-0",
    "GET /m/data.bin bytes=1000000-1000099",
    "GET /m/data.bin bytes=0-6",
    `GET /m/data.bin bytes=${LARGE - 5}-${LARGE - 1}`,
  ]);
  await source.close();
});

test("reads at once do not disturb one another", async () => {
  for (const ranges of [true, false]) {
    manner = { ranges };
    const source = openBase();
    const begins = [2_000_000, 5, 700_000, 1_500_000, 0];
    const reads = await Promise.all(begins.map((begin) => source.read("data.bin", begin, begin + 1000)));
    for (const [i, begin] of begins.entries()) assert.equal(reads[i], data(begin, begin + 1000));
    await source.close();
  }
});

test("a slash at the end, a query, a fragment and odd names", async () => {
  for (const [address, expected] of [
    [`${origin}/m/`, "GET /m/config.json"],
    [`${origin}/m?key=1&b=%20`, "GET /m/config.json?key=1&b=%20"],
    [`${origin}/m/?key=1#part`, "GET /m/config.json?key=1"],
  ] as const) {
    asked = [];
    const source = openBase(address);
    assert.equal(await readJson(source, "config.json"), { model_type: "gpt2" });
    assert.equal(asked, [expected]);
    assert.is(source.describe("config.json"), `${origin}/m/config.json`, "the query may be a key");
  }
  assert.equal(await readJson(openBase(), "odd name 100%.json"), [1]);
});

test("sizes and presence", async () => {
  const source = openBase();
  assert.is(await source.size("data.bin"), LARGE);
  assert.is(await source.size("empty"), 0);
  assert.is((await source.readAll("empty")).length, 0);
  assert.is(await source.exists("data.bin"), true);
  assert.is(await source.exists("nothing"), false);
  assert.is(await source.list(), null);
});

test("a checkpoint opens by its header alone", async () => {
  const checkpoint = await openCheckpoint(openBase());
  assert.equal([...checkpoint.tensors.keys()], ["a", "b"]);
  assert.equal([...new Float32Array((await checkpoint.read("a", 4, 12)).buffer as ArrayBuffer)], [2, 3]);
  await checkpoint.close();
});

test("a server that ignores ranges: forward reads share one download, a step back costs another", async () => {
  manner = { ranges: false };
  const source = openBase();
  assert.is(await source.size("data.bin"), LARGE);
  for (const begin of [10, 500_000, 500_100, 2_900_000]) {
    assert.equal(await source.read("data.bin", begin, begin + 100), data(begin, begin + 100));
  }
  assert.is(asked.length, 1);
  assert.equal(await source.read("data.bin", 0, 10), data(0, 10));
  assert.is(asked.length, 2);
  await source.close();
});

test("a server that ignores ranges is not made to send unread bytes", async () => {
  manner = { ranges: false };
  const source = openBase();
  await source.read("huge.bin", 0, 10);
  await new Promise((resolve) => setTimeout(resolve, 50));
  await source.close();
  assert.ok(bytesSent < 32 << 20, `${bytesSent} bytes were sent`);
});

test("a checkpoint from a server that ignores ranges", async () => {
  manner = { ranges: false };
  const checkpoint = await openCheckpoint(openBase());
  assert.equal([...new Float32Array((await checkpoint.read("b", 0, 4)).buffer as ArrayBuffer)], [4]);
  assert.equal([...new Float32Array((await checkpoint.read("a", 0, 4)).buffer as ArrayBuffer)], [1]);
  await checkpoint.close();
});

test("a length that is not reported", async () => {
  manner = { ranges: false, chunked: true };
  const source = openBase();
  assert.is(await source.exists("data.bin"), true);
  assert.equal(await readJson(source, "config.json"), { model_type: "gpt2" });
  assert.equal(await source.readAll("data.bin"), data(0, LARGE));
  await refusal("not_found", () => source.size("data.bin"), "data.bin", "does not report");
  await source.close();
});

test("a range whose header a page may not see", async () => {
  manner = { contentRange: () => undefined };
  const source = openBase();
  assert.is(await source.size("data.bin"), LARGE);
  assert.equal(asked, ["GET /m/data.bin bytes=0-0", "HEAD /m/data.bin"]);
  assert.equal(await source.read("data.bin", 5, 10), data(5, 10));
  manner.head = false;
  await refusal("not_found", () => openBase().size("data.bin"), "length");
});

test("compressed text is text; a compressed length is not taken for the file's", async () => {
  manner = { gzip: true };
  assert.equal(await readJson(openBase(), "config.json"), { model_type: "gpt2" });
  assert.is(await openBase().size("data.bin"), LARGE);
});

test("a range other than the requested one, or of another file", async () => {
  manner = { contentRange: (header) => header.replace(/bytes \d+/, "bytes 1") };
  await refusal("bad_file", () => openBase().read("data.bin", 5, 10), "bytes 5 to 10", "bytes 1-9");
  const source = openBase();
  manner = {};
  await source.size("data.bin");
  manner = { contentRange: (header) => header.replace(String(LARGE), "77") };
  await refusal("bad_file", () => source.read("data.bin", 5, 10), "/77", "replaced");
});

test("a file of weights that is replaced at the same length while it is read", async () => {
  const told = (headers: Readonly<Record<string, string>>): void => {
    manner = { instead: (_, response) => Boolean(response.setHeaders(new Map(Object.entries(headers)))) && false };
  };
  const [before, after] = ["Sat, 28 Nov 2026 10:00:00 GMT", "Sat, 28 Nov 2026 10:00:01 GMT"] as const;
  const changes: readonly (readonly [first: Record<string, string>, then: Record<string, string>, refused: boolean])[] =
    [
      [{ etag: '"a"' }, { etag: '"b"' }, true],
      [{ "last-modified": before }, { "last-modified": after }, true],
      [{ etag: '"a"', "last-modified": before }, { "last-modified": after }, true],
      // The same content, compressed or from another node.
      [{ etag: '"a"' }, { etag: 'W/"a-gzip"' }, false],
      [{ etag: '"a"', "last-modified": before }, { etag: '"a"', "last-modified": after }, false],
      [{ etag: '"a"' }, {}, false],
    ];
  for (const ranges of [true, false]) {
    for (const [first, then, refused] of changes) {
      const source = openBase();
      told(first);
      manner.ranges = ranges;
      await source.read("long.safetensors", 300_000, 300_010);
      told(then);
      manner.ranges = ranges;
      // A server without ranges sends the file again for a step back.
      const read = () => source.read("long.safetensors", ranges ? 500_000 : 0, 500_010);
      if (refused) await refusal("bad_file", read, "replaced", "Load the model again");
      else assert.is((await read()).length, ranges ? 10 : 500_010);
      await source.close();
    }
  }
});

test("parts that nobody asked for, and whole files that do not say so", async () => {
  const part = { "Content-Range": "bytes 0-1/19", "Content-Type": "application/json" };
  manner = { instead: (_, response) => Boolean(response.writeHead(206, part).end("{}")) };
  await refusal("bad_file", () => readJson(openBase(), "config.json"), "a part that nobody asked for");
  const mixed = { "Content-Type": "multipart/byteranges; boundary=x" };
  manner = { instead: (_, response) => Boolean(response.writeHead(206, mixed).end("--x")) };
  await refusal("bad_file", () => openBase().read("data.bin", 5, 10), "a part that nobody asked for");
  const whole = (_: IncomingMessage, response: ServerResponse) =>
    Boolean(response.writeHead(203, { "Content-Length": LARGE }).end(data(0, LARGE)));
  manner = { instead: whole };
  assert.equal(await openBase().read("data.bin", 5, 10), data(5, 10));
});

test("reads beyond the end, and lengths that lie", async () => {
  const source = openBase();
  await refusal("bad_file", () => source.read("data.bin", 0, LARGE + 1), String(LARGE), String(LARGE + 1));
  await refusal("bad_file", () => source.readAll("data.bin", 1000), "1000", String(LARGE));
  manner = { ranges: false, chunked: true };
  await refusal("bad_file", () => source.readAll("data.bin", 100_000), "100000");
});

test("a file that does not exist, or is not accessible", async () => {
  await refusal("not_found", () => openBase().size("nothing"), `${origin}/m/nothing does not exist`, "config.json");
  const status = (code: number) => {
    manner = { instead: (_, response) => Boolean(response.writeHead(code).end("no")) };
  };
  status(403);
  await refusal("not_found", () => openBase().exists("config.json"), "refuses access", "403", "private");
  status(418);
  await refusal("not_found", () => readJson(openBase(), "config.json"), "418");
  assert.is(asked.filter((line) => line.includes("config.json")).length, 2, "neither is worth a second try");
});

test("the page that some servers send for every unknown path is not a file", async () => {
  const page = (_: IncomingMessage, response: ServerResponse) =>
    Boolean(response.writeHead(200, { "Content-Type": "text/html; charset=utf-8" }).end("<!doctype html>"));
  manner = { instead: page };
  assert.is(await openBase().exists("model.safetensors"), false);
  await refusal("not_found", () => readJson(openBase(), "config.json"), "does not exist");
});

test("passing trouble is tried again, lasting trouble reported", async () => {
  let failures = 2;
  manner = { instead: (_, response) => failures-- > 0 && Boolean(response.writeHead(503).end()) };
  assert.is(await openBase().size("data.bin"), LARGE);
  failures = 99;
  await refusal("not_found", () => openBase().size("data.bin"), "503");
  assert.is(asked.length, 3 + 3);
});

test("after a connection is lost in the middle, the rest is asked for", async () => {
  for (const ranges of [true, false]) {
    let failures = 1;
    asked = [];
    manner = { ranges };
    const source = openBase();
    await source.size("data.bin");
    manner.instead = (_, response) => {
      if (failures-- <= 0) return false;
      response.writeHead(ranges ? 206 : 200, { "Content-Length": 1000 });
      response.write(ranges ? data(2_000_000, 2_000_003) : data(0, 3), () => response.destroy());
      return true;
    };
    // Back and forth, so that a server without ranges is asked anew.
    assert.equal(await source.read("data.bin", 2_000_000, 2_001_000), data(2_000_000, 2_001_000));
    assert.equal(await source.read("data.bin", 0, 1000), data(0, 1000));
    assert.ok(failures <= 0);
    assert.is(asked.includes("GET /m/data.bin bytes=2000003-2000999"), ranges);
    await source.close();
  }
});

test("no server, and addresses that are none", async () => {
  await refusal("not_found", () => openBase("http://127.0.0.1:9/m").size("a"), "could not be fetched", "CORS");
  await refusal("usage", () => openUrlBase("no address"), "no address");
  await refusal("usage", () => openUrlBase("ftp://host/m"), "ftp:");
  const message = await refusal("usage", () => openUrlBase("https://me:secret@host/m"), "host");
  assert.not.match(message, /secret/);
  await refusal("usage", () => openBase().read("../secret", 0, 1), "inside");
});

test("an abort ends a running read and is reported as one", async () => {
  for (const ranges of [true, false]) {
    manner = { ranges };
    const source = openBase();
    await source.size("data.bin");
    const abort = new AbortController();
    manner.instead = (_, response) => {
      response.writeHead(ranges ? 206 : 200, { "Content-Length": LARGE });
      response.write("abc", () => abort.abort());
      return true;
    };
    const read = async () => {
      await source.read("data.bin", 10, 20, abort.signal);
      await source.read("data.bin", 0, LARGE, abort.signal);
    };
    await refusal("aborted", read);
    manner.instead = () => false;
    assert.equal(await source.read("data.bin", 0, 10), data(0, 10), "the source is fit for use after that");
    await source.close();
  }
});

test("an abort ends a pause between attempts", async () => {
  manner = { instead: (_, response) => Boolean(response.writeHead(503).end()) };
  const source = openUrlBase(`${origin}/m`, { retryDelaysMs: [60_000] });
  await refusal("aborted", () => source.size("data.bin", AbortSignal.timeout(30)));
});

test("a closed source reads no more", async () => {
  const source = openBase();
  await source.close();
  await refusal("usage", () => source.size("data.bin"), "closed");
});

test.run();
