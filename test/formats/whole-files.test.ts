/** Loading from a server that always sends whole files, as `python -m http.server` does. */
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { LoadOptions } from "../../src/index.ts";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";

let server: Server;
let origin = "";
/** Paths in the order in which they were asked for. */
let asked: string[] = [];

test.before(async () => {
  server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? "", origin).pathname).slice(1);
    asked.push(path);
    readFile(join(location("."), path)).then(
      (bytes) => response.writeHead(200, { "Content-Length": bytes.length }).end(bytes),
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

test.after(() => {
  server.closeAllConnections();
  server.close();
});

async function logitsOf(source: string, options: LoadOptions): Promise<Float32Array> {
  const model = await load(source, options);
  try {
    const tokens = Array.from({ length: 9 }, (_, i) => (i * 7 + 3) % model.config.vocab_size);
    return (await model.logits(tokens, { last: true })).data;
  } finally {
    model.dispose();
  }
}

const cases: readonly (readonly [folder: string, files: number, options?: LoadOptions])[] = [
  ["test/golden/gpt2-tiny", 1],
  ["test/golden/llama-tiny", 1],
  ["test/golden/llama3-tiny", 3],
  ["test/golden/llama-tiny", 1, { quantize: "q8" }],
];

for (const [folder, files, options = {}] of cases) {
  test(`${[folder, options.quantize].join(" ")}: each file of weights is downloaded once`, async () => {
    const expected = await logitsOf(location(folder), options);
    asked = [];
    const found = await logitsOf(`${origin}/${folder}`, options);
    assert.equal(found, expected);
    const weights = asked.filter((path) => /model.*\.safetensors$/.test(path) && !path.endsWith("index.json"));
    const there = weights.filter((path) => !path.endsWith("/model.safetensors") || files === 1);
    assert.is(there.length, files, weights.join(", "));
    assert.is(new Set(there).size, files);
  });
}

test.run();
