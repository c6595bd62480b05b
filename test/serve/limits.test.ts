/** What a server does with clients that send too much, too slowly or nothing, and that do not read. */
import { createServer } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { inspect } from "node:util";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { RequestEnd } from "../../src/serve/answering.ts";
import { makeApp } from "../../src/serve/app.ts";
import { Engine } from "../../src/serve/engine.ts";
import { ApiKeys } from "../../src/serve/keys.ts";
import { defaultLimits } from "../../src/serve/limits.ts";
import { Metrics } from "../../src/serve/metrics.ts";
import { listen } from "../../src/serve/node-listen.ts";
import { Problem } from "../../src/serve/problem.ts";
import { Service } from "../../src/serve/service.ts";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";
import { type OpenServer, openServer, storiesWith } from "./node-open-server.ts";

async function withServer(options: Parameters<typeof openServer>[1], use: (open: OpenServer) => Promise<void>) {
  const open = await openServer("plain", options);
  try {
    await use(open);
  } finally {
    await open.close();
  }
}

function socketTo(address: string): Socket {
  const { hostname, port } = new URL(address);
  const socket = connect(Number(port), hostname);
  socket.on("error", () => undefined);
  return socket;
}

/** What the server answers to bytes, until it closes the connection. */
async function rawAnswer(address: string, text: string): Promise<{ status: number; code: unknown }> {
  const socket = socketTo(address);
  socket.write(text);
  let answer = "";
  for await (const chunk of socket) answer += String(chunk);
  const [head = "", body = ""] = answer.split("\r\n\r\n");
  return { status: Number(head.split(" ")[1]), code: (JSON.parse(body) as { error: { code: unknown } }).error.code };
}

function post(body: string, length = Buffer.byteLength(body)): string {
  const head = ["POST /v1/completions HTTP/1.1", "Host: x", "Content-Type: application/json"];
  return [...head, `Content-Length: ${length}`, "", body].join("\r\n");
}

/** A number from /metrics. */
async function metric(address: string, name: string): Promise<number> {
  const text = await (await fetch(`${address}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\d+)$`, "m").exec(text)?.[1]);
}

async function until(isSo: () => Promise<boolean>, patience = 20_000): Promise<void> {
  const end = Date.now() + patience;
  while (!(await isSo())) {
    assert.ok(Date.now() < end, "it took too long");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test("what is no request, too large or too slow is refused in OpenAI's shape", async () => {
  const limits = { headersMs: 200, requestMs: 300, answerMs: 400, bodyBytes: 2000 };
  await withServer({ limits }, async ({ server: { address }, faults }) => {
    const head = "POST /v1/completions HTTP/1.1\r\nHost: x\r\n";
    const long = JSON.stringify({ prompt: "Once", max_tokens: 500, temperature: 0, logprobs: 20 });
    const answers = await Promise.all([
      rawAnswer(address, `${head}X-Long: ${"x".repeat(20_000)}\r\n\r\n`),
      rawAnswer(address, "\u0016\u0003\u0001 hello\r\n\r\n"),
      rawAnswer(address, head),
      rawAnswer(address, post('{"prompt": "Once', 200)),
      rawAnswer(
        address,
        post(JSON.stringify({ prompt: "x".repeat(3000) })).replace("Host", "Connection: close\r\nHost"),
      ),
      rawAnswer(address, post(long).replace("Host", "Connection: close\r\nHost")),
      // HTTP/1.0 names no host; what is no host is refused.
      rawAnswer(address, post("{").replace("HTTP/1.1\r\nHost: x", "HTTP/1.0")),
      rawAnswer(address, post("{}").replace("Host: x", "Connection: close\r\nHost: a b/c")),
    ]);
    assert.equal(answers, [
      { status: 431, code: "headers_too_large" },
      { status: 400, code: "bad_http" },
      { status: 408, code: "timeout" },
      { status: 408, code: "timeout" },
      { status: 413, code: "body_too_large" },
      { status: 408, code: "timeout" },
      { status: 400, code: "bad_json" },
      { status: 400, code: "bad_http" },
    ]);
    await until(async () => (await metric(address, "sluice_batch_running")) === 0);
    assert.equal(faults, []);
  });
});

test("a stream that nobody reads is bounded, and its sequences are free", async () => {
  const folder = await storiesWith("plain");
  const model = await load(folder.path, { plan: "reference" });
  for (const limits of [
    { ...defaultLimits, backlogBytes: 16 << 10 },
    { ...defaultLimits, stallMs: 200 },
  ]) {
    const engine = await Engine.open(model, new Map(), { sequences: 4, context: 300, limits, allowUploads: false });
    const service = new Service(engine, new Metrics(), limits, "m");
    const app = makeApp(service, {
      origins: [],
      allowUploads: false,
      onFault: (error) => assert.unreachable(String(error)),
    });
    const ask = async (more: object): Promise<Response> => {
      const body = JSON.stringify({ prompt: "Once upon a time", temperature: 0, ...more });
      const headers = { "Content-Type": "application/json" };
      return app.fetch(new Request("http://x/v1/completions", { method: "POST", headers, body }));
    };
    const stalled = await ask({ stream: true, n: 3, max_tokens: 290, logprobs: 20 });
    assert.is(stalled.status, 200);
    const other = (await (await ask({ max_tokens: 4 })).json()) as { choices: { text: string }[] };
    assert.is(other.choices[0]?.text, (await model.generate("Once upon a time", { maxNewTokens: 4 }).result()).text);
    await until(async () => engine.stats.running === 0, 30_000);
    assert.ok(engine.stats.decode_tokens < 3 * 290, "nobody waits for the rest");
    await stalled.text().then(assert.unreachable, (error: Error) => assert.match(error.message, /too slow/));
    engine.dispose();
  }
  model.dispose();
  await folder.remove();
});

test("a connection that takes nothing of its answer ends, and does not keep a server from ending", async () => {
  const limits = { ...defaultLimits, stallMs: 200 };
  const answers: readonly (() => Response)[] = [
    () => new Response("x".repeat(40 << 20)),
    () => new Response(new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(1 << 20)) })),
  ];
  for (const answer of answers) {
    const server = await listen({ fetch: answer, drain: () => undefined }, { host: "127.0.0.1", port: 0, limits });
    const socket = socketTo(server.address);
    socket.pause();
    socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    await new Promise((resolve) => socket.once("connect", resolve));
    await new Promise((resolve) => setTimeout(resolve, 100));
    await server.close();
    socket.destroy();
  }
});

test("a key is compared by digests and is nowhere in what the server keeps or prints", async () => {
  const key = "sk-5Jd82mQx";
  const keys = await ApiKeys.read(`other\n${key}\n`);
  assert.is(await keys.admits(`Bearer ${key}`), true);
  for (const wrong of [undefined, "", "Bearer ", `Bearer ${key}x`, `Bearer ${key.slice(1)}`, `Basic ${key}`, key]) {
    assert.is(await keys.admits(wrong), false, wrong);
  }
  assert.not(inspect(keys, { depth: 9, showHidden: true }).includes(key));
  // What no header carries would refuse everybody.
  for (const odd of ["two words", "schlüssel"]) {
    const message = await ApiKeys.read(`${key}\n${odd}\n`).then(
      () => "",
      (error: Error) => error.message,
    );
    assert.match(message, /API key 2 has spaces, or characters/);
    assert.not(message.includes(odd));
  }
  await withServer({ key }, async ({ server, faults, client }) => {
    const texts: string[] = [];
    for (const sent of [key, `${key}x`]) {
      for (const path of ["/v1/models", "/v1/none", "/metrics"]) {
        const answer = await fetch(`${server.address}${path}`, { headers: { Authorization: `Bearer ${sent}` } });
        texts.push(await answer.text(), JSON.stringify([...answer.headers]));
      }
    }
    assert.is((await client.models.list()).data.length, 1);
    assert.not(texts.join().includes(key));
    assert.equal(faults, []);
  });
});

test("nothing in a request is read as a file or an address", async () => {
  let visits = 0;
  const lure = createServer((_, response) => {
    visits++;
    response.end();
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => lure.once("listening", resolve));
  const url = `http://127.0.0.1:${(lure.address() as AddressInfo).port}/x`;
  const file = location("weights/stories260K/config.json");
  await withServer({ allowUploads: true }, async ({ server: { address } }) => {
    const ask = async (path: string, body: object): Promise<number> => {
      const headers = { "Content-Type": "application/json" };
      return (await fetch(`${address}${path}`, { method: "POST", headers, body: JSON.stringify(body) })).status;
    };
    for (const place of [url, file, `file://${file}`, "../../etc/passwd"]) {
      const image = { type: "image_url", image_url: { url: place } };
      const statuses = await Promise.all([
        ask("/v1/chat/completions", { messages: [{ role: "user", content: [image] }] }),
        ask("/v1/chat/completions", {
          messages: [{ role: "user", content: [{ type: "file", file: { file_id: place } }] }],
        }),
        ask("/v1/completions", { prompt: "x", interventions: [{ bundle: place }] }),
        ask("/v1/completions", { prompt: "x", steer_vector_request: { steer_vector_local_path: place } }),
        ask("/v1/completions", { prompt: "x", model: place }),
      ]);
      assert.equal(statuses, [400, 400, 400, 400, 404]);
      const put = await fetch(`${address}/v1/bundles/${encodeURIComponent(place)}`, { method: "PUT", body: place });
      assert.is(put.status, 400);
    }
  });
  lure.close();
  assert.is(visits, 0);
});

test("uploads are off by default, and bounded in number and size", async () => {
  const put = (address: string, name: string, body: BodyInit) =>
    fetch(`${address}/v1/bundles/${name}`, { method: "PUT", body });
  await withServer({}, async ({ server: { address } }) => {
    assert.is((await put(address, "x", "x")).status, 403);
    assert.is((await fetch(`${address}/v1/bundles/x`, { method: "DELETE" })).status, 403);
    assert.equal(await (await fetch(`${address}/v1/bundles`)).json(), { object: "list", data: [] });
  });
  await withServer({ allowUploads: true, limits: { bundleBytes: 1000 } }, async ({ server: { address } }) => {
    assert.is((await put(address, "x", "x".repeat(1001))).status, 413);
    const chunks = new ReadableStream({
      start(controller) {
        for (let i = 0; i < 3; i++) controller.enqueue(new Uint8Array(500));
        controller.close();
      },
    });
    const told = await fetch(`${address}/v1/bundles/x`, { method: "PUT", body: chunks, duplex: "half" } as RequestInit);
    assert.is(told.status, 413);
    assert.is((await put(address, "x", "x".repeat(900))).status, 400);
  });
});

test("while a server drains it says so, and ends what it began", async () => {
  const open = await openServer("plain", { sequences: 2, context: 400 });
  const { address } = open.server;
  const ask = (max_tokens: number) =>
    fetch(`${address}/v1/completions`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ prompt: "Once upon a time", max_tokens, temperature: 0 }),
    });
  const last = ask(300);
  await until(async () => (await metric(address, "sluice_batch_running")) === 1);
  const closed = open.close();
  const [refused, health] = await Promise.all([ask(1), fetch(`${address}/health`)]);
  for (const { status, headers } of [refused, health]) {
    assert.is(status, 503);
    assert.ok(Number(headers.get("Retry-After")) >= 1);
    assert.is(headers.get("Connection"), "close");
  }
  assert.is(((await refused.json()) as { error: { code: string } }).error.code, "draining");
  assert.equal(await health.json(), { status: "draining" });
  const answer = (await (await last).json()) as { usage: { completion_tokens: number } };
  assert.is(answer.usage.completion_tokens, 300);
  await closed;
  await fetch(`${address}/health`).then(
    () => assert.unreachable(),
    (error: Error) => assert.instance(error, TypeError),
  );
});

test("a request that is refused after a part of it began ends that part, and its timer", () => {
  const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
  const before = timers();
  const end = new RequestEnd(new AbortController().signal, 600_000);
  const refusal = new Problem(400, "The second choice is refused");
  assert.throws(
    () =>
      end.begin(() => {
        throw refusal;
      }),
    (error: unknown) => error === refusal,
  );
  assert.equal([end.signal.aborted, end.signal.reason, timers()], [true, refusal, before]);
});

test.run();
