/** Every option that a command offers does something: another question to the library, another answer, or another file. */
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { COMMANDS } from "../../src/cli/commands.ts";
import type { Library } from "../../src/cli/context.ts";
import { optionName } from "../../src/cli/option-name.ts";
import { writeProbe } from "../../src/fit/probe.ts";
import { storeFloat32, writeSafetensors } from "../../src/formats/safetensors.ts";
import type { Bundle } from "../../src/index.ts";
import { readModelConfig } from "../../src/model/read-model-config.ts";
import { bundleOf } from "../interventions/model-configs.ts";
import { location } from "../support/files.ts";
import { inFolder } from "../support/folder.ts";
import { FakeOutput, input } from "./fake-process.ts";
import { fakeLibrary, fakeTokenizer, run } from "./fake-world.ts";

/** Words that make a command run; `…` stands for the folder that holds the files. */
const LINES: Readonly<Record<string, string>> = {
  generate: "m Hi",
  chat: "m",
  logits: "m Hi --out …/out",
  capture: "m Hi --site embed --out …/out",
  lens: "m Hi",
  sites: location("weights/stories260K"),
  attribute: "m Hi --out …/out",
  compare: "m Hi --with b",
  perplexity: "m --texts …/texts.jsonl",
  evaluate:
    "m --with b --texts …/texts.jsonl --prompts …/texts.jsonl --positive …/positive.csv --negative …/negative.csv --label-column kind",
  sweep: "m --with b --strengths 0,1 --texts …/texts.jsonl --prompts …/texts.jsonl",
  bench: "m",
  profile: "m",
  tune: "m",
  quantize: `${location("weights/gpt-nano-sort")} --to q8 --out …/folder`,
  explain: "m",
  "fit aura": "m --positive …/positive.csv --negative …/negative.csv --label-column kind --out …/out",
  "fit ace": "m --positive …/positive.csv --negative …/negative.csv --label-column kind --out …/out",
  "fit ablation": "m --positive …/positive.csv --negative …/negative.csv --label-column kind --out …/out",
  "fit addition": "m --positive …/positive.csv --negative …/negative.csv --label-column kind --out …/out",
  "fit leace": "m --positive …/positive.csv --negative …/negative.csv --label-column kind --out …/out",
  "fit probe": "m --positive …/positive.csv --negative …/negative.csv --label-column kind --out …/out",
  "fit neurons": "m --probe …/probe --texts …/texts.jsonl --out …/out",
  "fit edges": "m --good …/texts.jsonl --bad …/texts.jsonl --out …/out",
  bake: `${location("weights/gpt2-stories")} --with b --out …/folder --remainder …/left`,
  "bundle inspect": "b",
  "bundle check": "b m",
  "bundle seal": "b m --out …/out",
  "bundle compose": "b c:as=two --out …/out",
  "bundle export": "c --to npz --out …/out",
  info: "weights/stories260K",
};

/** What is added for an option: its value, and before it what it makes sense with, of which the effect is not counted. */
const VALUES: Readonly<Record<string, string | readonly [beside: string, value: string]>> = {
  tokens: "5,6",
  "lens top": "7",
  report: "…/elsewhere",
  checks: ["--report …/elsewhere", "none"],
  ask: "7,8",
  prompts: "…/other.jsonl",
  texts: "…/other.jsonl",
  positive: "…/other.csv",
  negative: "…/other.csv",
  textColumn: "other",
  labelColumn: "kind2",
  good: "…/other.jsonl",
  bad: "…/other.jsonl",
  mask: "…/mask",
  probe: "…/probe2",
  template: "…/template",
  logprobs: ["--json", "2"],
  logitBias: "5=3",
  presencePenalty: "1",
  frequencyPenalty: "1",
  jsonSchema: "…/schema",
  scorer: "…/scorer.mjs",
  out: "…/elsewhere",
  strengths: "2,3",
  stages: "y",
  plot: "…/page.html",
  "sweep scorer": ["--max-new-tokens 2", "…/scorer.mjs"],
  trace: "…/trace.json",
  html: "…/page.html",
  remainder: "…/rest",
  site: "mlp_out",
  layers: "0",
  layer: "0",
  token: "-2",
  destinations: "qkv_groups",
  method: "masks",
  epochs: ["--method masks", "3"],
  ramp: ["--method masks", "0.5"],
  replace: "zero",
  klBound: ["--layers auto", "0.5"],
  variant: ["--neurons 3", "damp"],
  factor: ["--variant damp --neurons 3", "0.25"],
  judge: "log-odds",
  to: "q4",
  "bundle export to": "hf-hooks",
  dtype: "stored",
  quantize: "q8",
  lora: "calm=0.5",
  plan: "reference",
  adapter: "swiftshader",
  overflow: "error",
  temperature: "0.5",
  topP: "0.5",
  minP: "0.5",
  repetitionPenalty: "1.5",
  samples: ["--temperature 1", "2"],
  shrinkage: "0.5",
  share: "0.25",
  with: "other",
  strength: ["--with c", "z=0.5"],
  param: ["--with c", "z.alpha=2"],
  positions: ["--with c", "z=generated"],
  stop: "END",
  name: "calm",
  system: "Brief.",
  kernel: "norm",
  start: "b",
  model: "m",
  maxTexts: "2",
  context: "64",
  repetitions: "7",
};

/** What of a line an option takes the place of. */
const GIVES_WAY: Readonly<Record<string, string | RegExp>> = {
  to: / --to npz/,
  tokens: " Hi",
  prompts: " Hi",
  scorer: / --positive.*$/,
};

const spread = { min: 0, max: 1 };
const wall = { plain_ms: 1, recorded_ms: 1, profiled_ms: 1 };
const texts = { tokens: 1, perplexity: 2, plain_perplexity: 1, kl_nats: 1, agreement: 1 };
const cell = { layer: null, strength: 1, texts, prompts: null };
/** Answers of the library where the played one has none. */
const answers: Readonly<Record<string, (...args: readonly never[]) => unknown>> = {
  evaluate: () => ({ predictions: null, continuations: null }),
  sweep: () => ({ stages: ["x"], strengths: [0, 1], layers: [null], widened: [], cells: [cell] }),
  deviceReport: () => ({ bench: answers.bench?.(), checks: null }),
  fitUnigramClassifier: () => ({ accuracy: 1, fitted: 1, heldOut: 1, weights: new Map(), score: () => 0 }),
  bench: () => ({
    device: "d",
    ceilings: { gemm_gflop_per_s: 1, fma_gflop_per_s: 1, read_gb_per_s: 1 },
    spread: { prefill_tokens_per_s: spread, decode_tokens_per_s: spread },
    time_to_first_token_ms: { warm: 1, cold: 1, compile: 1 },
    prefill_tokens_per_s: 1,
    decode_tokens_per_s: 1,
    prefill_share_of_gemm: 1,
    prefill_share_of_fma: 1,
    decode_share_of_bandwidth: 1,
    gpu_bytes: 1,
  }),
  profile: () => ({
    model: "m",
    quantization: null,
    sluice_version: "0",
    device: "d",
    prompt_tokens: 3,
    new_tokens: 2,
    clock: "host",
    resolution_ns: null,
    unusable_stamps: 0,
    time_origin_ms: 0,
    ceilings: { read_gb_per_s: 1, fma_gflop_per_s: 1, gemm_gflop_per_s: 1, kernels: {} },
    stages: [],
    dispatches: [],
    by_label: [],
    by_kernel: [],
    by_layer: [],
    by_site: [],
    stage_costs: [],
    wall: { prefill: wall, decode: wall },
    host: { rows: [], spans: [] },
  }),
  fitAura: () => ({ strongest: [], neurons: 0, beyondChance: 0, expectedByChance: 0 }),
  fitNeurons: () => ({ groups: {}, strongest: [] }),
};

/** A library that notes each question, with all that is asked, and answers as the played one does. */
function noting(log: string[]): Library {
  const tokenizer = fakeTokenizer();
  const applyChatTemplate: typeof tokenizer.applyChatTemplate = (messages, options) =>
    tokenizer.applyChatTemplate(messages, options) + (options?.template ?? "");
  const whole = fakeLibrary({ tokenizer: { ...tokenizer, applyChatTemplate } });
  const bundle = async (file = "fitted") => bundleFor(file);
  const library = {
    ...whole,
    ...answers,
    loadBundle: bundle,
    fitDirection: () => bundle(),
    chooseLayer: async () => ({ bundle: await bundle(), table: [] }),
    fitAura: async () => ({ ...(answers.fitAura?.() as object), bundle: await bundle() }),
    fitNeurons: async () => ({
      groups: Object.fromEntries(["TP", "TN", "AP", "AN"].map((name) => [name, { neurons: 0, edited: 0, readout: 0 }])),
      strongest: [],
      bundle: await bundle(),
    }),
  };
  return noted(library, log) as Library;
}

function noted(target: object, log: string[]): object {
  return new Proxy(target, {
    get(object, name) {
      const value = Reflect.get(object, name) as unknown;
      if (typeof value !== "function" || typeof name !== "string") return value;
      return (...args: readonly unknown[]) => {
        const asked = args.map((arg) => (arg !== null && typeof arg === "object" && "device" in arg ? "model" : arg));
        log.push(`${name} ${JSON.stringify(asked, plainly)}`);
        const result = value.apply(object, args) as unknown;
        const isModel = name === "load" || name === "with" || name === "session";
        if (!isModel) return result;
        return result instanceof Promise
          ? result.then((answer: object) => noted(answer, log))
          : noted(result as object, log);
      };
    },
  });
}

/** Maps by their entries; functions, signals and what is large by their kind. */
function plainly(_key: string, value: unknown): unknown {
  if (typeof value === "function") return "function";
  if (value instanceof AbortSignal) return "signal";
  if (value instanceof Map) return [...value];
  return value;
}

/** Lines that did not run. */
const failures: string[] = [];

/** All that can be seen of a run: questions to the library, what was printed, and which files there are then. */
async function seen(name: string, words: string, folder: string): Promise<string> {
  const log: string[] = [];
  const out = join(folder, "made");
  await mkdir(out, { recursive: true });
  const line = [...name.split(" "), ...words.split(" ").filter((word) => word !== "")];
  const argv = line.map((word) =>
    word
      .replace("…/out", `${out}/out`)
      .replace("…/folder", `${out}/folder`)
      .replace("…/elsewhere", `${out}/elsewhere`)
      .replace(/…\/(trace\.json|page\.html|rest|left)/, `${out}/$1`)
      .replaceAll("…", folder),
  );
  const world = { library: noting(log), stdin: input(["Hello\n"]), stdout: new FakeOutput(), stderr: new FakeOutput() };
  const { code, stdout, stderr } = await run(argv, world);
  const files: string[] = [];
  for (const path of await readdir(out, { recursive: true })) {
    if ((await stat(join(out, path))).isFile()) files.push(`${path} ${hash(await readFile(join(out, path)))}`);
  }
  await rm(out, { recursive: true });
  if (code !== 0) failures.push(`${argv.join(" ")}: ${stderr}`);
  // The record of the run repeats the line, and clocks differ.
  const text = stdout
    .replace(/"(?:date|command|load_ms)":("[^"]*"|[\d.]+)/g, "")
    .replace(/(?:measured|command) .*\n/g, "");
  return JSON.stringify([log, code, text, stderr, files]);
}

function hash(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

const stories = await readModelConfig(location("weights/gpt2-stories"));

/** A stage that can be baked, and in other files than `c` one that cannot, of which a model takes one alone. */
function bundleFor(file: string): Bundle {
  const isSmall = file === "c" || file === "other";
  const id = isSmall ? "z" : "x";
  const addition = { id, kind: "affine", method: "addition", site: "mlp_out", layers: [0] };
  const edges = { id: "y", kind: "edge_mask", destinations: "heads", edges: [["embed", "logits", 0]] };
  const direction = storeFloat32(new Float32Array(stories.hidden_size).fill(1), [stories.hidden_size]);
  const stages = isSmall ? [addition] : [addition, edges];
  return { ...bundleOf(stories, stages, { [`${id}.0.direction`]: direction }), file };
}

async function writeFiles(folder: string): Promise<void> {
  const rows = (kind: number) =>
    `text,other,kind,kind2\none two,three four,${kind},0\nfive six,seven eight,${kind},1\n`;
  const tensor = storeFloat32(Float32Array.of(1, 2, 3, 4), [2, 2]);
  const probe = (layer: number) =>
    writeProbe({
      site: "resid_post",
      layer,
      weight: Float32Array.of(1, 2),
      bias: 1,
      n_positive: 1,
      n_negative: 1,
      held_out: null,
    });
  const files: Readonly<Record<string, string | Uint8Array>> = {
    "texts.jsonl": '{"text": "one two"}\n{"text": "three four"}\n{"text": "five six"}\n',
    "other.jsonl": '{"text": "seven eight"}\n{"text": "nine ten"}\n',
    "positive.csv": rows(1),
    "negative.csv": rows(0),
    "other.csv": "text,other,kind\nnine,ten,1\nnine,ten,0\n",
    "scorer.mjs": "export default (text) => text.length;\n",
    schema: "{}",
    template: "{% for m in messages %}[{{ m.content }}]{% endfor %}",
    mask: writeSafetensors(new Map([["mask", tensor]])),
    probe: probe(0),
    probe2: probe(1),
  };
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
}

/** Options that talk to a server: test/serve/chat-client.test.ts; `queue`: test/queue. */
const ELSEWHERE = new Set(["chat server", "chat apiKeyFile"]);

test("every option of every command has an effect", () =>
  inFolder(async (folder) => {
    await writeFiles(folder);
    // No file takes every option of bundle import: test/interventions/import-bundle.test.ts. The others need a hub:
    // test/hub/commands.test.ts. A server is tried in test/serve, a worker in test/queue.
    const untried = COMMANDS.map(({ name }) => name).filter((name) => LINES[name] === undefined);
    assert.equal(untried, [
      "serve",
      "worker",
      "bundle import",
      "pull",
      "models list",
      "models remove",
      "models verify",
    ]);
    const idle: string[] = [];
    for (const { name, options } of COMMANDS) {
      const line = LINES[name];
      if (line === undefined) continue;
      const whole = await seen(name, line, folder);
      for (const [key, { value }] of Object.entries(options)) {
        if (ELSEWHERE.has(`${name} ${key}`) || key === "queue") continue;
        const given = VALUES[`${name} ${key}`] ?? VALUES[key] ?? "3";
        const [beside, text] = typeof given === "string" ? ["", given] : given;
        const base = line.replace(GIVES_WAY[key] ?? "\0", "");
        const besideLine = `${base} ${beside}`;
        const without = beside === "" ? whole : await seen(name, besideLine, folder);
        const added = value === null ? optionName(key) : `${optionName(key)} ${text}`;
        if (without === (await seen(name, `${besideLine} ${added}`, folder))) idle.push(`${name} ${added}`);
      }
    }
    assert.equal(failures, []);
    assert.equal(idle, []);
  }));

test.run();
