/** What `sluice chat --server` makes of servers that answer with anything. */
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { streamAnswer } from "../../src/cli/chat/server-answer.ts";
import { refusal } from "../formats/refusal.ts";

let answer: (response: ServerResponse) => void = () => undefined;
const server = createServer((_, response) => answer(response));
let address = "";

test.before(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
test.after(() => {
  server.closeAllConnections();
  server.close();
});

async function text(patienceMs = 10_000, signal = new AbortController().signal): Promise<string> {
  let all = "";
  for await (const part of streamAnswer({ server: address, key: undefined, body: {}, signal }, patienceMs)) all += part;
  return all;
}

const chunk = (content: unknown): string => `data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\n\n`;

test("a stream's texts, cut anywhere", async () => {
  answer = (response) => {
    const bytes = Buffer.from(
      `: hello\r\n${chunk("é🙂")}${chunk(null)}data: {"choices":[]}\n${chunk("x")}data: [DONE]\n`,
    );
    for (const byte of bytes) response.write(Buffer.of(byte));
    response.end();
  };
  assert.is(await text(), "é🙂x");
});

test("an answer that is not such a stream is refused by name", async () => {
  for (const [body, code, ...said] of [
    ["data: {\n", "bad_file", "not a stream of a conversation"],
    [`data: ${"[".repeat(60_000)}${"]".repeat(60_000)}\n`, "bad_file", "not a stream"],
    [chunk(5), "bad_file", "the content 5"],
    [chunk({ constructor: 1 }), "bad_file", "the content"],
    ['data: {"error":{"message":"out of memory"}}\n', "usage", "The server stopped: out of memory"],
    ['data: {"error":7}\n', "usage", "The server stopped: 7"],
    [`data: ${"x".repeat(1_500_000)}`, "bad_file", "a line of more than"],
  ] as const) {
    answer = (response) => response.end(body);
    await refusal(code, () => text(), ...said);
  }
  answer = (response) => response.writeHead(503).end(`{"error":{"message":${JSON.stringify("x".repeat(500_000))}}}`);
  assert.ok((await refusal("usage", () => text(), "refuses (503)")).length < 1000);
});

test("a server that says nothing, or no more, is reported", async () => {
  for (const begin of ["", chunk("x")]) {
    answer = (response) => (begin === "" ? response.flushHeaders() : response.write(begin));
    await refusal("not_found", () => text(100), "nothing came from the server for 0.1 s");
  }
  answer = () => undefined;
  await refusal("aborted", () => text(10_000, AbortSignal.timeout(20)));
});

test.run();
