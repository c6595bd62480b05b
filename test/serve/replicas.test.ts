/** Two processes of `sluice serve` behind the documented nginx: one is killed under load, the other is told to end. */
import { type ChildProcess, spawn } from "node:child_process";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { location } from "../support/files.ts";
import { nginx, openBalancer } from "./node-nginx.ts";

interface Replica {
  readonly process: ChildProcess;
  readonly address: string;
  readonly exit: Promise<number | NodeJS.Signals | null>;
}

async function startReplica(): Promise<Replica> {
  const args = ["serve", location("weights/stories260K"), "--port", "0", "--context", "512", "--plan", "reference"];
  const child = spawn(process.execPath, [location("bin/sluice.js"), ...args], { stdio: ["ignore", "pipe", "ignore"] });
  const exit = new Promise<number | NodeJS.Signals | null>((resolve) => {
    child.once("exit", (code, signal) => resolve(signal ?? code));
  });
  let said = "";
  for await (const chunk of child.stdout) {
    said += String(chunk);
    const address = /listening at (\S+)/.exec(said)?.[1];
    if (address !== undefined) return { process: child, address, exit };
  }
  throw new Error(`The server ended: ${said}`);
}

const portOf = (address: string): number => Number(new URL(address).port);

function post(address: string, body: object, signal?: AbortSignal): Promise<Response> {
  return fetch(`${address}/v1/completions`, {
    ...{ method: "POST", headers: { "Content-Type": "application/json" } },
    ...{ body: JSON.stringify({ temperature: 0, ...body }), ...(signal && { signal }) },
  });
}

async function metric(address: string, pattern: RegExp): Promise<number> {
  return Number(pattern.exec(await (await fetch(`${address}/metrics`)).text())?.[1] ?? 0);
}

const answered = (address: string) => metric(address, /^sluice_requests_total\{route="\/v1\/completions",.*\} (\d+)$/m);
const running = (address: string) => metric(address, /^sluice_batch_running (\d+)$/m);

async function until(isSo: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + 20_000;
  while (!(await isSo())) {
    assert.ok(Date.now() < end, "it took too long");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const suite = nginx ? test : test.skip;
const name = "replicas behind nginx: prompts stay with a server, streams flow, one is killed under load";
suite(nginx ? name : `NGINX IS NOT INSTALLED, so not tested: ${name}`, async () => {
  const replicas = await Promise.all([startReplica(), startReplica()]);
  const balancer = await openBalancer([portOf(replicas[0].address), portOf(replicas[1].address)]);
  try {
    await loseBoth(replicas, balancer.address);
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : String(error)}\n${await balancer.log()}`, {
      cause: error,
    });
  } finally {
    for (const { process: child } of replicas) child.kill("SIGKILL");
    await balancer.close();
  }
});

async function loseBoth(replicas: readonly [Replica, Replica], address: string): Promise<void> {
  // Where each prompt goes, and what comes of it.
  const prompts = Array.from({ length: 12 }, (_, i) => `${"Lily and Tom saw a dog. ".repeat(i % 3)}Story ${i}:`);
  const places: number[] = [];
  const texts: string[] = [];
  for (const prompt of prompts) {
    const before = await answered(replicas[0].address);
    const { choices } = (await (await post(address, { prompt, max_tokens: 16 })).json()) as Completion;
    texts.push(choices[0]?.text ?? "");
    places.push((await answered(replicas[0].address)) > before ? 0 : 1);
  }
  assert.equal(new Set(places), new Set([0, 1]), "both have work");
  // The same beginning of 200 characters, or the same key, is the same server.
  const start = "The little boat went over the big blue sea. ".repeat(5);
  const before = await Promise.all(replicas.map((replica) => answered(replica.address)));
  for (let i = 0; i < 4; i++) await post(address, { prompt: `${start} ${i}`, max_tokens: 1 });
  const more = (await Promise.all(replicas.map((replica) => answered(replica.address)))).map(
    (count, i) => count - (before[i] as number),
  );
  assert.equal(more.sort(), [0, 4]);
  for (let i = 0; i < 4; i++) await post(address, { prompt_cache_key: "one", prompt: `${i} ${start}`, max_tokens: 1 });
  const keyed = (await Promise.all(replicas.map((replica) => answered(replica.address)))).map(
    (count, i) => count - (before[i] as number),
  );
  assert.ok(
    keyed.every((count) => count % 4 === 0),
    `${keyed}`,
  );

  // A stream comes token by token, and who leaves it frees the sequence behind nginx.
  const leaving = new AbortController();
  const stream = await post(address, { prompt: prompts[0], max_tokens: 400, stream: true }, leaving.signal);
  const reader = stream.body?.getReader();
  await reader?.read();
  const place = replicas[places[0] as number] as Replica;
  assert.is(await running(place.address), 1);
  leaving.abort();
  await until(async () => (await running(place.address)) === 0);

  // One is killed while both work.
  const killed = 0;
  const load = prompts.map(async (prompt, i) => {
    const isStreamed = i % 2 === 0;
    const answer = await post(address, { prompt, max_tokens: 300, stream: isStreamed });
    return { status: answer.status, body: await answer.text() };
  });
  await until(async () => (await Promise.all(replicas.map((replica) => running(replica.address)))).every((n) => n > 1));
  replicas[killed].process.kill("SIGKILL");
  const outcomes = await Promise.allSettled(load);
  const whole = outcomes.map(
    (outcome, i) =>
      outcome.status === "fulfilled" &&
      outcome.value.status === 200 &&
      outcome.value.body.includes(i % 2 === 0 ? "data: [DONE]" : '"usage"'),
  );
  const lost = whole.filter((isWhole) => !isWhole).length;
  assert.ok(lost > 0, "what it had begun fails");
  for (const [i, isWhole] of whole.entries()) {
    const told = JSON.stringify(outcomes[i]).slice(-200);
    assert.ok(
      isWhole || places[i] === killed,
      `request ${i} was not of the server that was killed, and failed: ${told}`,
    );
  }
  for (const [i, prompt] of prompts.entries()) {
    const answer = await post(address, { prompt, max_tokens: 16 });
    assert.is(answer.status, 200);
    assert.is(((await answer.json()) as Completion).choices[0]?.text, texts[i]);
  }

  // The other is told to end: it ends what it began, and a second signal does not wait.
  const [, left] = replicas;
  const last = post(left.address, { prompt: prompts[0], max_tokens: 450 }).catch(() => "broken");
  await until(async () => (await running(left.address)) === 1);
  left.process.kill("SIGTERM");
  await until(async () => (await fetch(`${left.address}/health`)).status === 503);
  left.process.kill("SIGTERM");
  assert.is(await left.exit, 143);
  await last;
  assert.is((await post(address, { prompt: "x" })).status, 502);
}

interface Completion {
  readonly choices: readonly { readonly text: string }[];
}

const drained = "a server that shuts down sends nobody away: nginx asks the other";
suite(nginx ? drained : `NGINX IS NOT INSTALLED, so not tested: ${drained}`, async () => {
  const counts = [0, 0];
  const answer = (place: number, status: number) =>
    createServer((_, response) => {
      counts[place] = (counts[place] as number) + 1;
      response.writeHead(status, { "Retry-After": "1" }).end(`${place}`);
    });
  const servers = await Promise.all([answer(0, 503), answer(1, 200)].map(listening));
  const [draining, serving] = servers.map((server) => (server.address() as AddressInfo).port);
  const balancer = await openBalancer([draining as number, serving as number]);
  const told = await Promise.all(
    Array.from({ length: 20 }, (_, i) => post(balancer.address, { prompt: `prompt ${i}` })),
  );
  assert.equal(new Set(told.map(({ status }) => status)), new Set([200]));
  assert.ok((counts[0] as number) > 0, "some were of the server that shuts down");
  await balancer.close();
  for (const server of servers) server.close();
});

const sticky = "a conversation stays where it began, whatever else its requests say";
suite(nginx ? sticky : `NGINX IS NOT INSTALLED, so not tested: ${sticky}`, async () => {
  const servers = await Promise.all(
    [0, 1].map((place) => listening(createServer((_, response) => response.end(`${place}`)))),
  );
  const [one, two] = servers.map((server) => (server.address() as AddressInfo).port);
  const balancer = await openBalancer([one as number, two as number]);
  const placeOf = async (body: object): Promise<string> => (await post(balancer.address, body)).text();
  const places: string[] = [];
  for (let i = 0; i < 12; i++) {
    const first = { role: "user", content: `Story ${i} "quoted" {it} [1]` };
    const system = { role: "system", content: "You tell stories." };
    const talks = [[first], [first, { role: "assistant", content: "Well." }, { role: "user", content: "And?" }]];
    const told = [
      ...talks.map((messages, n) => placeOf({ messages: [system, ...messages], max_tokens: n, stream: n > 0 })),
    ];
    const prompted = [
      placeOf({ prompt: `Story "${i}"`, max_tokens: 3 }),
      placeOf({ max_tokens: 5, prompt: `Story "${i}"`, stream: true }),
    ];
    const keyed = [
      placeOf({ prompt_cache_key: `key ${i}`, prompt: "a" }),
      placeOf({ prompt: "b", prompt_cache_key: `key ${i}` }),
    ];
    for (const pair of [told, prompted, keyed]) {
      const [a, b] = await Promise.all(pair);
      assert.is(a, b);
      places.push(a as string);
    }
  }
  assert.equal(new Set(places), new Set(["0", "1"]));
  await balancer.close();
  for (const server of servers) server.close();
});

async function listening(server: Server): Promise<Server> {
  server.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  return server;
}

test.run();
