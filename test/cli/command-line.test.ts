/**
 * The command line as a user meets it: the built program in a process of its own, where a process proves something; what
 * it says beyond that is compared with the same commands in this process, on the device that tests share.
 */
import { execFile, spawn } from "node:child_process";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { COMMANDS } from "../../src/cli/commands.ts";
import { parseSafetensors, type StoredTensor, toFloat32 } from "../../src/formats/safetensors.ts";
import { location } from "../support/files.ts";
import { input } from "./fake-process.ts";
import { runReal } from "./real-library.ts";

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function sluice(args: readonly string[], env: NodeJS.ProcessEnv = process.env, input = ""): Promise<Ended> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [location("bin/sluice.js"), ...args], { env }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === "number" ? error.code : 0, stdout, stderr });
    });
    child.stdin?.end(input);
  });
}

const story = location("weights/stories260K");
const sort = location("weights/gpt-nano-sort");

test("generate prints ids, also on a machine with an empty HOME and empty XDG variables; --json has the contract's fields", async () => {
  const env = { PATH: process.env.PATH ?? "", HOME: "", XDG_CACHE_HOME: "", XDG_DATA_HOME: "" };
  const args = ["generate", sort, "--tokens", "2,0,1,1,0,2", "--max-new-tokens", "6"];
  const { code, stdout, stderr } = await sluice(args, env);
  assert.is(code, 0, stderr);
  assert.is(stdout, "0 0 1 1 2 2\n");
  const result = JSON.parse((await runReal([...args, "--json"])).stdout);
  assert.equal(result.prompt_tokens, [2, 0, 1, 1, 0, 2]);
  assert.equal(result.tokens, [0, 0, 1, 1, 2, 2]);
  assert.is(result.text, null);
  assert.type(result.timings.decode_ms, "number");
});

test("logits, capture and perplexity write what they report", async () => {
  const folder = await mkdtemp(join(tmpdir(), "sluice-test-"));
  try {
    const logits = join(folder, "logits.safetensors");
    assert.is((await runReal(["logits", sort, "--tokens", "0,1,2", "--out", logits])).code, 0);
    assert.equal(parseSafetensors(await readFile(logits)).tensors.get("logits")?.shape, [3, 3]);
    assert.is((await runReal(["logits", sort, "--tokens", "0,1,2", "--last", "--out", logits])).code, 0);
    assert.equal(parseSafetensors(await readFile(logits)).tensors.get("logits")?.shape, [1, 3]);

    const sites = join(folder, "sites.safetensors");
    const capture = [
      "capture",
      sort,
      "--tokens",
      "0,1,2",
      "--site",
      "resid_post.1",
      "--site",
      "attn_pattern.0",
      "--out",
      sites,
    ];
    assert.is((await runReal(capture)).code, 0);
    const { tensors } = parseSafetensors(await readFile(sites));
    assert.equal(tensors.get("resid_post.1")?.shape, [3, 48]);
    assert.equal(tensors.get("attn_pattern.0")?.shape, [3, 3, 3]);

    const lines = join(folder, "documents.jsonl");
    await writeFile(lines, '{"tokens": [0, 1, 2, 0, 1, 2, 0, 0, 1, 1, 2]}\n{"tokens": [1]}\n');
    const measured = JSON.parse((await runReal(["perplexity", sort, "--texts", lines, "--json"])).stdout);
    assert.is(measured.tokens, 10);
    assert.ok(Math.abs(Math.exp(measured.nll) - measured.perplexity) < 1e-9);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("attribute meets a golden case whose file is its mask", async () => {
  const folder = await mkdtemp(join(tmpdir(), "sluice-test-"));
  try {
    const golden = location("test/golden/llama3-tiny");
    const cases = JSON.parse(await readFile(join(golden, "cases.json"), "utf8"));
    const { tokens, expected } = cases.find(
      (entry: { case: string }) => entry.case === "mask-gradient-qkv_groups-random",
    );
    const out = join(folder, "edges.safetensors");
    const line = ["attribute", golden, "--tokens", tokens.join(","), "--destinations", "qkv_groups"];
    assert.is((await runReal([...line, "--mask", join(golden, expected), "--out", out])).code, 0);
    const [actual, wanted] = await Promise.all(
      [out, join(golden, expected)].map(async (path) => parseSafetensors(await readFile(path)).tensors),
    );
    for (const [name, tolerance] of [
      ["gradient", 1e-3],
      ["loss", 2e-4],
    ] as const) {
      const [a, b] = [actual, wanted].map((tensors) => toFloat32(tensors?.get(name) as StoredTensor)) as [
        Float32Array,
        Float32Array,
      ];
      const scale = b.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      assert.is(a.length, b.length);
      b.forEach((value, i) => assert.ok(Math.abs(value - (a[i] as number)) <= tolerance * scale, name));
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("Ctrl-C ends a generation at once, keeps what was printed and exits with 130", async () => {
  const args = [location("bin/sluice.js"), "generate", story, "Once upon a time", "--max-new-tokens", "400"];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "ignore"] });
  let printed = "";
  child.stdout.setEncoding("utf8");
  child.stdout.on("data", (text: string) => {
    if (printed === "") child.kill("SIGINT");
    printed += text;
  });
  const code = await new Promise((resolve) => child.on("close", resolve));
  assert.is(code, 130);
  const whole = (await runReal(["generate", story, "Once upon a time", "--max-new-tokens", "400"])).stdout;
  assert.ok(printed.endsWith("\n"));
  assert.ok(whole.startsWith(printed.slice(0, -1)));
  assert.ok(printed.length < whole.length / 2, printed);
});

test("chat answers a line at a time and remembers; a model without a template is refused while the input is open", async () => {
  const folder = await mkdtemp(join(tmpdir(), "sluice-test-"));
  try {
    await cp(story, folder, { recursive: true });
    const template = "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}";
    const settings = JSON.parse(await readFile(join(folder, "tokenizer_config.json"), "utf8"));
    await writeFile(join(folder, "tokenizer_config.json"), JSON.stringify({ ...settings, chat_template: template }));
    const args = ["chat", folder, "--max-new-tokens", "12"];
    const { code, stdout } = await sluice(args, process.env, "Once upon a time\n played outside.\n");
    assert.is(code, 0);
    const [first = "", second = ""] = stdout.split("\n");
    assert.is(first, ", there was a little girl named Lily. She");
    const conversation = `Once upon a time${first} played outside.`;
    const whole = await runReal(["generate", story, conversation, "--max-new-tokens", "12"]);
    assert.is(second, whole.stdout.split("\n")[0]);
    const { chat_template, ...plain } = settings;
    assert.type(chat_template, "string");
    await writeFile(join(folder, "tokenizer_config.json"), JSON.stringify(plain));
    const child = spawn(process.execPath, [location("bin/sluice.js"), "chat", folder], {
      stdio: ["pipe", "pipe", "pipe"],
    });
    let said = "";
    child.stderr.on("data", (text) => (said += text));
    assert.is(await new Promise((resolve) => child.on("close", resolve)), 2);
    assert.match(said, /no chat template/);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("the small Llama comes with a template that tells a story in turns", async () => {
  const args = ["chat", story, "--max-new-tokens", "12"];
  const { code, stdout } = await runReal(args, { stdin: input(["Once upon a time\n  Her mom smiled. \n"]) });
  assert.is(code, 0);
  const [first = "", second = ""] = stdout.split("\n");
  assert.is(first, ", there was a little girl named Lily. She");
  const told = `Once upon a time${first} Her mom smiled.`;
  const whole = await runReal(["generate", story, told, "--max-new-tokens", "12"]);
  assert.is(second, whole.stdout.split("\n")[0]);
});

test("bad usage exits with 2, failed work with 1, and both say what to do", async () => {
  const refused: readonly (readonly [args: readonly string[], code: number, says: RegExp])[] = [
    [[], 2, /no command/],
    [["genrate"], 2, /Did you mean generate/],
    [["generate", story, "a", "--temprature", "1"], 2, /Did you mean --temperature/],
    [["generate", story, "a", "--top-p", "2"], 2, /at most 1/],
    [["generate", story], 2, /empty|nothing to continue/],
    [["logits", story, "--tokens", "1,x", "--out", "a"], 2, /not a token id/],
    [["logits", story, "--tokens", "1", "--out", "/nowhere/at/all"], 2, /Does the folder/],
    [["logits", story, "--tokens", "512", "--out", join(tmpdir(), "never")], 1, /outside the vocabulary/],
    [["generate", "no/such/folder", "a"], 1, /does not exist/],
    [["generate", sort, "text"], 1, /no tokenizer/],
    [["generate", story, "a", "--adapter", "GeForce 9"], 1, /sluice info/],
  ];
  const { code, stderr } = await sluice(["generate", "no/such/folder", "a"]);
  assert.is(code, 1, stderr);
  assert.is((await sluice(["generate", story, "a", "--top-p", "2"])).code, 2);
  for (const [args, code, says] of refused) {
    const ended = await runReal(args);
    assert.is(ended.code, code, `${args.join(" ")}: ${ended.stderr}`);
    assert.match(ended.stderr, says);
    assert.is(ended.stdout.includes("at Object"), false);
  }
});

test("every command has help with an example", async () => {
  for (const { name } of COMMANDS) {
    const { code, stdout } = await runReal([...name.split(" "), "--help"]);
    assert.is(code, 0);
    assert.match(stdout, /Examples?:\n[\s\S]*sluice /);
  }
});

test("explain prints graph, plan, buffers and WGSL", async () => {
  const { stdout } = await runReal(["explain", sort]);
  for (const part of ["# Graph", "# Plan", "# Buffers", "# WGSL", "blocks.2.mlp.down", "@compute"])
    assert.ok(stdout.includes(part), part);
  const { stdout: one } = await runReal(["explain", sort, "--kernel", "argmax_partial"]);
  assert.match(one, /^# WGSL: 1 of \d+ kernels\n\n── argmax_partial/);
  const none = await runReal(["explain", sort, "--kernel", "attenshun"]);
  assert.is(none.code, 2);
  assert.match(none.stderr, /no kernel "attenshun"\n {2}It has embed_/);
});

test("sites lists what captures take, without a device", async () => {
  const { stdout, stderr } = await runReal(["sites", story]);
  assert.is(stderr, "");
  assert.match(stdout, /^llama with 5 layers\n/);
  assert.match(stdout, /\n {2}gate_pre\.LAYER {8}172 {2}neuron_scale {10}blocks\.LAYER\.mlp\.hook_pre /);
  const { sites } = JSON.parse((await runReal(["sites", story, "--json"])).stdout);
  assert.equal(sites[0], {
    name: "embed",
    layers: null,
    width: 64,
    stages: [],
    transformer_lens: "hook_embed",
    about: sites[0].about,
  });
});

test.run();
