/** GGUF files at an address: the header is all that is read of them before the weights, and nothing is sent twice. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openModel } from "../../src/architectures/open-model.ts";
import { HeldTensors } from "../../src/formats/file-order.ts";
import { openSource } from "../../src/formats/open-source.ts";
import { readBytes } from "../support/files.ts";
import { refusal } from "./refusal.ts";

const PARTS = ["gpt2-00001-of-00002.gguf", "gpt2-00002-of-00002.gguf"];

let server: Server;
let origin = "";
let hasRanges = true;
/** What was asked, and the bytes that were sent. */
let asked: string[] = [];
let sent = 0;

test.before(async () => {
  server = createServer(async (request, response) => {
    const url = new URL(request.url ?? "", origin);
    const name = decodeURIComponent(url.pathname).replace("/a b/", "");
    const bytes = await readBytes(`test/data/gguf/${name}`).catch(() => null);
    if (!bytes || url.searchParams.get("key") !== "1") return response.writeHead(404).end();
    asked.push(`${name} ${request.headers.range ?? ""}`.trim());
    const [, first, last] = (hasRanges && /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "")) || [];
    const part = first === undefined ? bytes : bytes.subarray(Number(first), Number(last) + 1);
    sent += part.length;
    const range = { "Content-Range": `bytes ${first}-${Number(first) + part.length - 1}/${bytes.length}` };
    response.writeHead(first === undefined ? 200 : 206, { "Content-Length": part.length, ...(first && range) });
    response.end(part);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

test.after(() => {
  server.closeAllConnections();
  server.close();
});

test.before.each(() => {
  asked = [];
  sent = 0;
  hasRanges = true;
});

const open = async (name: string) => openModel(await openSource(`${origin}/a%20b/${name}?key=1`), () => undefined);

for (const ranges of [true, false]) {
  test(`a file, from a server ${ranges ? "with" : "without"} ranges: every tensor, and no byte twice`, async () => {
    hasRanges = ranges;
    const file = await readBytes("test/data/gguf/llama.gguf");
    const { checkpoint, config } = await open("llama.gguf");
    assert.is(config.model_type, "llama");
    assert.is(checkpoint.forwardOnly, !ranges);
    assert.ok(sent <= (ranges ? file.length * 0.6 : file.length), `${sent} of ${file.length} bytes for the header`);
    checkpoint.readAhead?.(new Set(checkpoint.tensors.keys()), undefined);
    const held = new HeldTensors(checkpoint);
    for (const [name, { byteLength }] of checkpoint.tensors) {
      await held.hold(name, undefined);
      assert.is((await held.read(name, 0, byteLength)).length, byteLength);
      held.release(name);
    }
    assert.ok(sent <= file.length, `${sent} of ${file.length} bytes\n${asked.join("\n")}`);
    assert.ok(asked.length <= (ranges ? 4 : 1), asked.join("\n"));
    await held.close();
  });
}

test("a model in parts, by the address of any", async () => {
  for (const name of PARTS) {
    asked = [];
    const { checkpoint, config } = await open(name);
    assert.is(config.model_type, "gpt2");
    assert.equal([...new Set(asked.map((each) => each.split(" ")[0]))].sort(), PARTS);
    await checkpoint.close();
  }
});

test("an address without a file", async () => {
  await refusal("not_found", () => open("absent.gguf"), "absent.gguf");
});

test.run();
