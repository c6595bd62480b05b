/**
 * Work over a real Redis and three worker processes: the same bytes as in this process, whatever happens to workers and
 * server; and nothing is left behind. Needs redis-server, openssl and the built command line.
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Queue } from "bullmq";
import { Redis } from "ioredis";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readConfig } from "../../src/architectures/read-config.ts";
import { writeBundle } from "../../src/interventions/bundle.ts";
import { keysOf, PREFIX, QUEUE_NAME, type ShardMessage } from "../../src/queue/messages.ts";
import { toBytes } from "../../src/queue/wire.ts";
import { FakeSignals } from "../cli/fake-process.ts";
import { runReal } from "../cli/real-library.ts";
import { bundleOf, vector } from "../interventions/model-configs.ts";
import { location } from "../support/files.ts";
import { FakeHub } from "../support/hub-server.ts";
import {
  hasRedis,
  startLockedRedis,
  startRedis,
  startWorker,
  type TestServer,
  type TestWorker,
} from "./node-redis-server.ts";

const check = hasRedis ? test : test.skip;
if (!hasRedis) console.log("SKIPPED: test/queue/queue (redis-server is not installed)");

const path = location("weights/gpt-nano-sort");
/** The same model by its name on a hub. */
const name = "org/sort";
let folder = "";
let hub: FakeHub;
let server: TestServer;
let watcher: Redis;
/** All that were started; the third outlives the first test. */
let workers: readonly [TestWorker, TestWorker, TestWorker];

/** Token lists, the same in every run. */
function rows(count: number, seed: number): string {
  const lines = Array.from({ length: count }, (_, i) => {
    const tokens = Array.from({ length: 3 + ((i * 7 + seed) % 8) }, (_, j) => (i * i + 3 * j * seed + j) % 3);
    return JSON.stringify({ tokens });
  });
  return `${lines.join("\n")}\n`;
}

const file = (called: string): string => join(folder, called);

/** The bundle of a push with that strength, in a file of that name. */
async function writePush(called: string, strength: number): Promise<string> {
  const push = { id: "push", kind: "affine", method: "addition", site: "resid_post", layers: [0], strength } as const;
  const config = readConfig(JSON.parse(await readFile(join(path, "config.json"), "utf8")), "config.json");
  // Not the same in all elements: the next norm would take that away.
  const direction = vector(...Array.from({ length: config.hidden_size }, (_, i) => (i % 3) / 2));
  await writeFile(file(called), writeBundle(bundleOf(config, [push], { "push.0.direction": direction })));
  return file(called);
}

/** How often each shard was begun, over all workers, and finished. */
function counts(which: RegExp): readonly number[] {
  const all = workers.map((worker) => worker.said()).join("\n");
  return ["took", "finished"].map((verb) => {
    return all.split("\n").filter((line) => line.includes(`${verb} `) && which.test(line)).length;
  });
}

/** Resolves once that many shards of a job wait in the server. */
async function untilSubmitted(shards: number): Promise<void> {
  while ((await watcher.keys("*:input:*")).length < shards) await new Promise((resolve) => setTimeout(resolve, 20));
}

const environment = { ...process.env };

test.before(async () => {
  if (!hasRedis) return;
  folder = await mkdtemp(join(tmpdir(), "sluice-queue-"));
  const files = ["config.json", "model.safetensors"].map(
    async (part) => [part, await readFile(join(path, part))] as const,
  );
  const commit = { sha: "5".repeat(40), files: Object.fromEntries(await Promise.all(files)) };
  hub = await FakeHub.start({ [name]: { commits: [commit] } });
  Object.assign(process.env, { HF_HOME: folder, HF_ENDPOINT: hub.url });
  server = await startRedis(folder);
  watcher = new Redis({ path: server.address.slice("unix:".length) });
  watcher.on("error", () => undefined);
  await writeFile(file("positive.jsonl"), rows(200, 1));
  await writeFile(file("negative.jsonl"), rows(100, 2));
  await writeFile(file("few.jsonl"), rows(5, 3));
});

test.after(async () => {
  if (!hasRedis) return;
  for (const worker of workers) await worker.kill("SIGKILL");
  watcher.disconnect();
  await server.stop();
  await hub.stop();
  for (const key of ["HF_HOME", "HF_ENDPOINT"]) delete process.env[key];
  Object.assign(process.env, environment);
  await rm(folder, { recursive: true });
});

check(
  "of three workers one is killed and one told to stop, each in the middle of a shard: the same bytes",
  async () => {
    const [killed, told, third] = ["killed", "told", "third"].map((each, i) =>
      startWorker(server.address, each, { more: i === 2 ? ["--concurrency", "2"] : [] }),
    ) as [TestWorker, TestWorker, TestWorker];
    workers = [killed, told, third];
    const fit = ["fit", "aura", path, "--positive", file("positive.jsonl"), "--negative", file("negative.jsonl")];
    fit.push("--max-tokens", "8", "--out");
    const [here, there] = [file("here.safetensors"), file("there.safetensors")];
    const plain = await runReal([...fit, here]);
    assert.is(plain.code, 0, plain.stderr);
    for (const worker of workers) await worker.until(/takes shards/);
    const queued = runReal([...fit, there, "--queue", server.address]);
    // The first class has a shard for each of them, and one more. They say so before they open the model, so none has finished.
    await Promise.all([
      killed.until(/took sentences/).then(() => killed.kill("SIGKILL")),
      told.until(/took sentences/).then(() => told.kill("SIGTERM")),
      third.until(/took sentences/),
    ]);
    const { code, stderr, stdout } = await queued;
    assert.is(code, 0, stderr);
    assert.equal(await readFile(there), await readFile(here));
    assert.is(stdout.replaceAll(there, here), plain.stdout);
    // Classes of 200 and 100 sentences are four and two shards; the killed worker's alone ran twice.
    assert.equal(counts(/sentences/), [7, 6]);
    assert.not.match(killed.said(), /finished/);
    // The other finished the one that it was at, and took no more.
    assert.is(told.said().match(/took sentences/g)?.length, 1);
    assert.is(told.said().match(/finished sentences/g)?.length, 1);
  },
);

check(
  "edges of a hub's model: means, gradients, candidates and the report as in one process, to the byte",
  async () => {
    const fit = ["fit", "edges", name, "--good", file("few.jsonl"), "--bad", file("few.jsonl"), "--edges", "1"];
    fit.push("--shortlist", "3", "--bad-weight", "2", "--out");
    const [here, there] = [file("cut-here.safetensors"), file("cut-there.safetensors")];
    const plain = await runReal([...fit, here]);
    assert.is(plain.code, 0, plain.stderr);
    const { code, stderr, stdout } = await runReal([...fit, there, "--queue", server.address]);
    assert.is(code, 0, stderr);
    assert.is(stdout, plain.stdout);
    assert.equal(await readFile(there), await readFile(here));
    assert.match(workers[2].said(), /finished good texts 1 to 4[\s\S]*finished bad texts? 1/);
  },
);

check("two jobs at once: continuations in the order of their prompts, and a sweep, as without a queue", async () => {
  const generate = ["generate", name, "--prompts", file("negative.jsonl"), "--max-new-tokens", "2"];
  generate.push("--temperature", "1", "--seed", "5", "--plan", "reference");
  const sweep = ["sweep", name, "--with", await writePush("push.safetensors", 1), "--strengths", "0,1"];
  sweep.push("--prompts", file("few.jsonl"), "--texts", file("few.jsonl"), "--plan", "reference");
  const both = (more: readonly string[]) =>
    Promise.all([runReal([...generate, ...more]), runReal([...sweep, ...more])]);
  const here = await both([]);
  const there = await both(["--queue", server.address]);
  assert.equal(
    there.map(({ code, stdout }) => [code, stdout]),
    here.map(({ code, stdout }) => [code, stdout]),
  );
});

check("a shard that cannot be computed is named after its tries; nothing is printed", async () => {
  // Rows whose squares no float32 holds.
  const far = await writePush("far.safetensors", 1e38);
  const line = ["evaluate", name, "--with", far, "--texts", file("few.jsonl"), "--json", "--plan", "reference"];
  line.push("--queue", server.address);
  const { code, stdout, stderr } = await runReal(line);
  assert.is(code, 1);
  assert.is(stdout, "");
  assert.match(stderr, /could not compute windows 1 to 5 of the texts: The edited.*\(worker third, tried 3 times\)/);
});

check("what others put into the queue reaches no terminal as it is", async () => {
  const queue = new Queue<ShardMessage>(QUEUE_NAME, { connection: watcher, prefix: PREFIX });
  const keys = keysOf("stranger");
  for (const key of [keys.about, keys.input(0)])
    await watcher.set(key, Buffer.from(toBytes({ source: name })), "EX", 60);
  const message = { job: "stranger", index: 0, label: "a\u001b[2Jb", kind: "\u001b]0;mine\u0007", edit: null };
  await queue.add("stranger", message, { removeOnFail: true });
  await workers[2].until(/failed a\\u001b\[2Jb: The worker third knows no shards of the kind \\u001b\]0;mine\\u0007/);
  for (const control of ["\u001b", "\u0007"]) assert.not.ok(workers[2].said().includes(control));
  await watcher.del(keys.about, keys.input(0));
  await queue.close();
});

check(
  "Ctrl-C removes a job's shards; and a server that was lost with a job, and is back, is given it again",
  async () => {
    const [, , third] = workers;
    const generate = ["generate", name, "--prompts", file("negative.jsonl"), "--max-new-tokens", "2"];
    // With the kernels of the test before.
    generate.push("--plan", "reference");
    const here = await runReal(generate);
    third.pause();
    const signals = new FakeSignals();
    const interrupted = runReal([...generate, "--queue", server.address], { signals });
    await untilSubmitted(2);
    signals.send("SIGINT");
    const { code, stderr } = await interrupted;
    assert.is(code, 130);
    assert.match(stderr, /2 of 2 shards were removed from the queue/);
    assert.equal(await watcher.keys(`${PREFIX}:${QUEUE_NAME}:*-[01]`), []);
    assert.equal(await watcher.keys(`${PREFIX}:*:input:*`), []);

    const queued = runReal([...generate, "--queue", server.address]);
    await untilSubmitted(2);
    await server.stop();
    server = await startRedis(folder);
    third.resume();
    const ended = await queued;
    assert.is(ended.code, 0, ended.stderr);
    assert.is(ended.stdout, here.stdout);
    assert.match(ended.stderr, /was lost; waiting for it[\s\S]*is back/);
    await third.kill("SIGTERM");
    assert.equal(await watcher.keys("*"), []);
  },
);

check("passwords and TLS: what is missing is named, and the password is printed nowhere", async () => {
  const password = "open-sesame";
  const locked = await startLockedRedis(folder, password);
  try {
    const refused = async (address: string): Promise<string> => {
      const { code, stdout, stderr } = await runReal(["worker", "--queue", address]);
      assert.equal([code, stdout], [1, ""]);
      return stderr;
    };
    const at = `127.0.0.1:${locked.plainPort}`;
    assert.match(
      await refused(`redis://${at}`),
      /The queue at redis:\/\/127.* needs a password[\s\S]*redis:\/\/:PASSWORD@/,
    );
    const wrong = await refused(`redis://:wrong-guess@${at}`);
    assert.match(wrong, /refuses the user or password/);
    const secure = `rediss://:${password}@localhost:${locked.tlsPort}`;
    const untrusted = await refused(secure);
    assert.match(untrusted, /has a certificate that Node does not trust[\s\S]*NODE_EXTRA_CA_CERTS/);
    // An address is seen in the list of processes, and this is not.
    const env = { NODE_EXTRA_CA_CERTS: locked.certificate, SLUICE_QUEUE_PASSWORD: password };
    const worker = startWorker(`rediss://localhost:${locked.tlsPort}`, "secure", { env });
    await worker.until(/takes shards at rediss:\/\/localhost/);
    await worker.kill("SIGTERM");
    assert.not.match(wrong + untrusted + worker.said(), /wrong-guess|open-sesame/);
  } finally {
    await locked.stop();
  }
});

test.run();
