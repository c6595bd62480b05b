/** Loading from a server that takes its time to answer: how many answers are waited for, one after the other. */
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";

const FOLDER = "weights/stories260K";

let server: Server;
let origin = "";
let delayMs = 0;
let asked: string[] = [];

test.before(async () => {
  server = createServer(async (request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? "", origin).pathname).slice(1);
    asked.push(`${path.slice(FOLDER.length + 1)} ${request.headers.range ?? ""}`.trim());
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    const bytes = await readFile(join(location("."), path)).catch(() => null);
    if (!bytes) return response.writeHead(404).end();
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
    if (first === undefined) return response.writeHead(200, { "Content-Length": bytes.length }).end(bytes);
    const part = bytes.subarray(Number(first), Number(last) + 1);
    const range = `bytes ${first}-${Number(first) + part.length - 1}/${bytes.length}`;
    response.writeHead(206, { "Content-Length": part.length, "Content-Range": range }).end(part);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

test.after(() => {
  server.closeAllConnections();
  server.close();
});

async function secondsToLoad(): Promise<number> {
  const began = performance.now();
  (await load(`${origin}/${FOLDER}`)).dispose();
  return (performance.now() - began) / 1000;
}

test("a load waits for few answers in turn, and asks for nothing twice", async () => {
  const local = await load(location(FOLDER));
  const expected = (await local.logits([1, 2, 3])).data;
  local.dispose();
  const distant = await load(`${origin}/${FOLDER}`);
  assert.equal((await distant.logits([1, 2, 3])).data, expected);
  distant.dispose();

  // The delay is much longer than loading takes without it, on a busy machine too.
  const quick = await secondsToLoad();
  delayMs = Math.max(400, 1000 * quick);
  asked = [];
  const slow = await secondsToLoad();
  const answers = (1000 * (slow - quick)) / delayMs;
  assert.ok(answers < 5, `${answers.toFixed(1)} answers in turn:\n${asked.join("\n")}`);
  assert.is(new Set(asked).size, asked.length, asked.join("\n"));
});

test.run();
