/**
 * Work over a real Redis and three worker processes: the same bytes as in this process, whatever happens to workers and
 * server; and nothing is left behind. Needs redis-server and the built command line.
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { runReal } from "../cli/real-library.ts";
import { location } from "../support/files.ts";
import { hasRedis, startRedis, startWorker, type TestServer, type TestWorker } from "./node-redis-server.ts";

const check = hasRedis ? test : test.skip;
if (!hasRedis) console.log("SKIPPED: test/queue/queue (redis-server is not installed)");

const model = location("weights/gpt-nano-sort");
let folder = "";
let server: TestServer;
let workers: TestWorker[] = [];

/** Token lists, the same in every run. */
function rows(count: number, seed: number): string {
  const lines = Array.from({ length: count }, (_, i) => {
    const tokens = Array.from({ length: 3 + ((i * 7 + seed) % 8) }, (_, j) => (i * i + 3 * j * seed + j) % 3);
    return JSON.stringify({ tokens });
  });
  return `${lines.join("\n")}\n`;
}

/** How often each shard was begun, over all workers, and finished. */
function counts(which: RegExp): readonly number[] {
  const all = workers.map((worker) => worker.said()).join("\n");
  return ["took", "finished"].map((verb) => {
    return all.split("\n").filter((line) => line.includes(`${verb} `) && which.test(line)).length;
  });
}

async function keysLeft(): Promise<readonly string[]> {
  const client = new Redis({ path: server.address.slice("unix:".length) });
  const keys = await client.keys("*");
  client.disconnect();
  return keys;
}

test.before(async () => {
  if (!hasRedis) return;
  folder = await mkdtemp(join(tmpdir(), "sluice-queue-"));
  server = await startRedis(folder);
  await writeFile(join(folder, "positive.jsonl"), rows(100, 1));
  await writeFile(join(folder, "negative.jsonl"), rows(100, 2));
  await writeFile(join(folder, "few.jsonl"), rows(5, 3));
});

test.after(async () => {
  if (!hasRedis) return;
  for (const worker of workers) await worker.kill("SIGKILL");
  await server.stop();
  await rm(folder, { recursive: true });
});

check(
  "a worker killed in the middle of a shard loses nothing: the bundle has the same bytes, and only that shard ran twice",
  async () => {
    const fit = ["fit", "aura", model, "--positive", join(folder, "positive.jsonl")];
    fit.push("--negative", join(folder, "negative.jsonl"), "--max-tokens", "8", "--out");
    const [here, there] = [join(folder, "here.safetensors"), join(folder, "there.safetensors")];
    const plain = await runReal([...fit, here]);
    assert.is(plain.code, 0, plain.stderr);
    workers = ["first"].map((name) => startWorker(server.address, name));
    const queued = runReal([...fit, there, "--queue", server.address]);
    const [first] = workers as [TestWorker];
    // It says so before it opens the model, so it cannot have finished.
    await first.until(/took sentences/);
    await first.kill("SIGKILL");
    workers.push(startWorker(server.address, "second"), startWorker(server.address, "third"));
    const { code, stderr, stdout } = await queued;
    assert.is(code, 0, stderr);
    assert.equal(await readFile(there), await readFile(here));
    assert.is(stdout.replaceAll(there, here), plain.stdout);
    // Two classes of 100 sentences are two shards each.
    assert.equal(counts(/sentences/), [5, 4]);
  },
);

check("two jobs at once: continuations in the order of their prompts, and a sweep, as without a queue", async () => {
  const generate = ["generate", model, "--prompts", join(folder, "positive.jsonl"), "--max-new-tokens", "2"];
  generate.push("--temperature", "1", "--seed", "5", "--plan", "reference");
  const sweep = ["sweep", model, "--with", join(folder, "here.safetensors"), "--strengths", "0,1"];
  sweep.push("--prompts", join(folder, "few.jsonl"), "--texts", join(folder, "few.jsonl"));
  const both = (more: readonly string[]) =>
    Promise.all([runReal([...generate, ...more]), runReal([...sweep, ...more])]);
  const here = await both([]);
  const there = await both(["--queue", server.address]);
  assert.equal(
    there.map(({ code, stdout }) => [code, stdout]),
    here.map(({ code, stdout }) => [code, stdout]),
  );
});

check("a shard that cannot be computed is named after its tries; nothing is written", async () => {
  const out = join(folder, "bad.json");
  const line = ["evaluate", model, "--with", join(folder, "here.safetensors"), "--texts", join(folder, "few.jsonl")];
  const poisoned = ["--strength", "aura_mlp_out=1e38", "--strength", "aura_mlp_pre=1e38", "--queue", server.address];
  const { code, stdout, stderr } = await runReal([...line, ...poisoned, "--json"]);
  assert.is(code, 1);
  assert.is(stdout, "");
  assert.match(
    stderr,
    /could not compute windows 1 to 5 of the texts: The edited model.*\(worker (?:second|third), tried 3 times\)/,
  );
  await readFile(out).then(
    () => assert.unreachable("something was written"),
    () => undefined,
  );
});

check("a server that was lost, with all it held, and is back: the job goes on", async () => {
  const generate = ["generate", model, "--prompts", join(folder, "negative.jsonl"), "--max-new-tokens", "2"];
  const here = await runReal(generate);
  for (const worker of workers) await worker.kill("SIGTERM");
  const queued = runReal([...generate, "--queue", server.address]);
  await new Promise((resolve) => setTimeout(resolve, 500));
  await server.stop();
  server = await startRedis(folder);
  workers = [startWorker(server.address, "fourth")];
  const { code, stdout, stderr } = await queued;
  assert.is(code, 0, stderr);
  assert.is(stdout, here.stdout);
});

check("an end by SIGTERM leaves nothing in the server", async () => {
  for (const worker of workers) await worker.kill("SIGTERM");
  assert.equal(await keysLeft(), []);
});

test.run();
