/** Web servers that say nothing, before their answer or in the middle of it, or hardly anything. */
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openUrlBase } from "../../src/formats/url-base.ts";
import { refusal } from "./refusal.ts";

let begin: (response: ServerResponse) => void;
const server = createServer((_, response) => begin(response));

test.before(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve)));
test.after(() => {
  server.closeAllConnections();
  server.close();
});

/** A byte every few milliseconds, without end. */
function drip(response: ServerResponse): void {
  response.writeHead(200);
  const drops = setInterval(() => response.write("x"), 10);
  response.on("close", () => clearInterval(drops));
}

test("a server that says nothing is tried twice, with a notice, and then reported", async () => {
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/m`;
  const silences: readonly (readonly [typeof begin, RegExp])[] = [
    [() => undefined, /nothing came from the server for 0\.1 s/],
    [
      (response) => response.writeHead(200, { "Content-Length": 100 }).write("abc"),
      /only 3 bytes came from the server in 0\.1 s/,
    ],
    [drip, /only \d+ bytes came from the server in 0\.1 s/],
  ];
  for (const [silence, says] of silences) {
    begin = silence;
    const notices: string[] = [];
    const note = (text: string): number => notices.push(text);
    const source = openUrlBase(address, { retryDelaysMs: [1, 1], patienceMs: 100, note });
    await refusal("not_found", () => source.readAll("config.json"), "came from the server");
    await source.close();
    assert.is(notices.length, 1);
    assert.match(notices[0] ?? "", says);
    assert.match(notices[0] ?? "", /m\/config\.json: .*; trying again/);
  }
});

test.run();
