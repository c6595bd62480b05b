/**
 * Sluice beside its peers, in one run on the same software devices:
 *
 *   npm ci --prefix bench/peers
 *   npm run bench -- [--full] [--only NAME] [--rounds N] [--host node|chromium] [--driver NAME=FILE]… [--models FOLDER]
 *     [--out FOLDER]
 *
 * A tiny GPT-2; with --full also GPT-2 124M and a Llama of SmolLM-135M's shape. Writes bench/peers/results/MODEL-HOST.json and
 * bench/peers/README.md, where the run measured every lane that these hold, in as many rounds; else, or with --out, results go
 * elsewhere. --driver adds a Vulkan driver to the SwiftShader that is always there; lavapipe of the system is found
 * by itself. --libraries FOLDER names a folder with a Vulkan loader, for systems without one.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { Browser } from "playwright-core";
import { findCarrier, unpackDriver } from "../../src/gpu/node-swiftshader.ts";
import { openChromium } from "../../test/support/chromium.ts";
import { placeOf } from "../keep-results.ts";
import type { ModelFiles } from "./lane.ts";
import { type LaneResult, labelOf, measureLanes, type Opened } from "./measure.ts";
import { readCheckpoint } from "./models/checkpoint.ts";
import { writeGguf } from "./models/gguf.ts";
import { writeOnnx } from "./models/onnx.ts";
import { installedVersion, openInNode, openInPage } from "./open-lane.ts";
import { type Driver, type LaneSpec, nodeLanes, pageLanes } from "./peers.ts";
import { type BenchReport, type ModelResult, reportPage } from "./report.ts";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");
const results = join(here, "results");

/** Models of the comparison. What the slowest can do in a few minutes sets the sizes. */
const models = [
  {
    name: "gpt2-tiny",
    description: "GPT-2 of 4 layers, d = 256, vocabulary 8,192 (5.5M parameters)",
    full: false,
    prompt: 64,
    newTokens: 16,
    turnSeconds: 8,
  },
  { name: "gpt2-124m", description: "GPT-2 124M", full: true, prompt: 16, newTokens: 8, turnSeconds: 40 },
  {
    name: "smollm-135m",
    description: "Llama of SmolLM-135M's shape",
    full: true,
    prompt: 16,
    newTokens: 8,
    turnSeconds: 40,
  },
] as const;

const { values } = parseArgs({
  options: {
    full: { type: "boolean", default: false },
    only: { type: "string" },
    rounds: { type: "string", default: "5" },
    host: { type: "string" },
    driver: { type: "string", multiple: true, default: [] },
    libraries: { type: "string" },
    models: { type: "string", default: join(tmpdir(), "sluice-bench") },
    out: { type: "string" },
  },
});
const rounds = Number(values.rounds);
if (!Number.isSafeInteger(rounds) || rounds < 1) throw new Error("--rounds must be a whole number, 1 or more");
if (values.host !== undefined && !["node", "chromium"].includes(values.host)) {
  throw new Error("--host is node or chromium");
}
const chosen = models.filter(({ name, full }) =>
  values.only === undefined ? values.full || !full : name === values.only,
);
if (chosen.length === 0)
  throw new Error(`There is no model ${values.only}; there are ${models.map((m) => m.name).join(", ")}`);

const hosts = (["Node", "Chromium"] as const).filter(
  (host) => (values.host ?? host.toLowerCase()) === host.toLowerCase(),
);

/** Peers that compute on the CPU get one thread: what remains of two cores beside a software GPU. */
const THREADS = 1;

/** Drivers of the command line, for the report: their files are this machine's. */
const named = values.driver.map((text) => ` --driver ${text.replace(/=.*/, "=FILE")}`).join("");

const say = (text: string) => console.log(text);
/** What this run measured. */
const made: BenchReport[] = [];

for (const [model, host] of chosen.flatMap((model) => hosts.map((host) => [model, host] as const))) {
  const files = makeFiles(model.name);
  const load_before = loadavg()[0] as number;
  say(`${model.name} in ${host}: load ${load_before.toFixed(1)}`);
  const { lanes, chromium } = await measureModel(model, files, host);
  const result: ModelResult = {
    name: `${model.name} in ${host}`,
    description: model.description,
    prompt_tokens: model.prompt,
    new_tokens: model.newTokens,
    rounds,
    lanes,
  };
  const report: BenchReport = {
    date: new Date().toISOString().slice(0, 10),
    command: `npm run bench -- --only ${model.name} --host ${host.toLowerCase()} --rounds ${rounds}${named}`,
    commit: git("describe", "--always", "--dirty"),
    machine: {
      cpu: cpus()[0]?.model ?? "unknown",
      cores: cpus().length,
      load_before,
      load_after: loadavg()[0] as number,
    },
    node: process.versions.node,
    chromium,
    models: [result],
  };
  // An interval stays on its line, as the repository's formatter has it.
  const text = JSON.stringify(report, null, 2).replace(/\[\s+([^[\]{},\s]+),\s+([^[\]{},\s]+)\s+\]/g, "[$1, $2]");
  writeFileSync(placeFor(join(results, `${model.name}-${host.toLowerCase()}.json`), report), `${text}\n`);
  made.push(report);
}
const kept = models
  .flatMap(({ name }) => ["node", "chromium"].map((host) => join(results, `${name}-${host}.json`)))
  .filter((path) => existsSync(path))
  .map((path) => JSON.parse(readFileSync(path, "utf8")) as BenchReport);
if (values.out === undefined) writeFileSync(join(root, "bench/peers/README.md"), reportPage(kept));
say(made.map((report) => reportPage([report]).split("\n## ")[1]).join("\n\n"));
process.exit(0);

/** Where a report goes: over the one in the repository only if that has no lane, nor more rounds, that this one lacks. */
function placeFor(file: string, report: BenchReport): string {
  mkdirSync(results, { recursive: true });
  const before = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as BenchReport) : null;
  const most = before?.models[0]?.rounds ?? 0;
  const roundsOf = (of: number) => (of >= most && most > 0 ? [`${most} rounds`] : []);
  return placeOf({
    file,
    kept: [...lanesOf(before), ...roundsOf(most)],
    fresh: [...lanesOf(report), ...roundsOf(rounds)],
    out: values.out,
    say,
  });
}

function lanesOf(report: BenchReport | null): readonly string[] {
  return (report?.models ?? []).flatMap(({ lanes }) =>
    lanes.filter(({ status }) => status === "measured").map((lane) => labelOf(lane as never)),
  );
}

/** Opens the installed engines, one after another; measures; closes everything. */
async function measureModel(
  model: (typeof models)[number],
  files: ModelFiles,
  host: LaneSpec["host"],
): Promise<{ readonly lanes: readonly LaneResult[]; readonly chromium: string | null }> {
  const drivers = await findDrivers();
  const specs = host === "Node" ? nodeLanes(drivers.list, THREADS) : pageLanes(THREADS);
  const browser: Browser | null = host === "Chromium" ? await openChromium() : null;
  const opened: Opened[] = [];
  const others: LaneResult[] = [];
  try {
    for (const spec of specs) {
      const version = installedVersion(spec);
      const { engine, host, device } = spec;
      const base = { engine, version, host, device, reported_device: null };
      if (version === null) {
        others.push({ ...base, status: "not installed" });
        continue;
      }
      try {
        const lane =
          browser && host === "Chromium"
            ? openInPage(spec, files, browser)
            : openInNode(spec, files, drivers.libraries);
        opened.push({ spec, version, lane: await lane });
        say(`opened ${labelOf(spec)}: ${opened.at(-1)?.lane.device ?? "does not say where it runs"}`);
      } catch (error) {
        const problem = error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error);
        others.push({ ...base, status: "failed", problem });
        say(`${labelOf(spec)} did not open: ${problem}`);
      }
    }
    const { turnSeconds, newTokens } = model;
    const prompt = Array.from({ length: model.prompt }, (_, i) => (i * 7919 + 13) % 8192);
    const measured = await measureLanes(opened, { prompt, newTokens, rounds, turnSeconds, onProgress: say });
    const order = new Map(specs.map((spec, i) => [labelOf(spec), i]));
    const place = (lane: LaneResult) => order.get(labelOf(lane as never)) ?? 0;
    return {
      lanes: [...measured, ...others].sort((a, b) => place(a) - place(b)),
      chromium: browser?.version() ?? null,
    };
  } finally {
    for (const { lane } of opened) await lane.close();
    await browser?.close();
  }
}

/** The carried SwiftShader, what `--driver` names, and the system's lavapipe. */
async function findDrivers(): Promise<{ readonly list: readonly Driver[]; readonly libraries: string }> {
  const carrier = await findCarrier();
  const carried = carrier && (await unpackDriver(carrier));
  const listed = values.driver.map((text): Driver => {
    const [, name = "", file = ""] = /^([^=]+)=(.+)$/.exec(text) ?? [];
    if (!existsSync(file)) throw new Error(`--driver ${text}: write NAME=FILE, with a Vulkan driver's JSON file`);
    return { name, file };
  });
  const folder = "/usr/share/vulkan/icd.d";
  const system = existsSync(folder) ? readdirSync(folder).filter((name) => name.startsWith("lvp_icd")) : [];
  const lavapipe =
    listed.length === 0 ? system.slice(0, 1).map((file) => ({ name: "lavapipe", file: join(folder, file) })) : [];
  return {
    list: [...(carried ? [{ name: "SwiftShader", file: carried.icd }] : []), ...listed, ...lavapipe],
    libraries: values.libraries ?? (carried ? dirname(carried.loader) : ""),
  };
}

/** The model in the three forms that are read, made once. */
function makeFiles(name: string): ModelFiles {
  const folder = join(values.models, name);
  const files = {
    folder,
    gguf: join(folder, "model.gguf"),
    onnx: join(folder, "onnx/model.onnx"),
    onnxFused: join(folder, "onnx/fused.onnx"),
  };
  const done = join(folder, "complete");
  if (!existsSync(done)) {
    say(`writing ${folder}`);
    const script = join(root, "scripts/make-synthetic.mjs");
    execFileSync(process.execPath, [script, folder, "--shape", name], { stdio: "ignore" });
    const checkpoint = readCheckpoint(folder);
    mkdirSync(dirname(files.onnx), { recursive: true });
    writeOnnx(files.onnx, checkpoint, "composed");
    writeOnnx(files.onnxFused, checkpoint, "fused");
    writeGguf(files.gguf, checkpoint);
    writeFileSync(done, "");
  }
  const { config } = readCheckpoint(folder);
  return {
    ...files,
    context: 128,
    layers: config.num_hidden_layers,
    kvHeads: config.num_key_value_heads,
    headDim: config.head_dim,
  };
}

function git(...args: readonly string[]): string {
  return execFileSync("git", args, { cwd: root, encoding: "utf8" }).trim();
}
