/**
 * The correctness matrix: the engine, in Node and in Chromium, against transformers in float64, with bundles run by
 * python/'s `apply`; tokenizers and chat templates against the libraries they come from; and speed beside other tools.
 * Writes docs/correctness.md.
 *
 *   npm run test:oracles                everything, and the page
 *   npm run test:oracles -- llama       the matrix for models whose name fits a regular expression, and no page
 *   npm run test:oracles -- --keep      goes on with the steps that an earlier run has finished
 *
 * It makes a virtual environment of python/requirements-oracles.txt (torch, transformers and others) in
 * python/.venv-oracles, or uses the interpreter that PYTHON_ORACLES names. PYTHON_LENS names one that has
 * TransformerLens 2 too, which otherwise takes no part in the comparison of speed. Not part of CI.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { cpus, loadavg } from "node:os";
import { delimiter, join } from "node:path";
import { openAdapter } from "../src/gpu/node.ts";
import { UNCHECKED } from "../test/support/chromium.ts";
import { location, readJson } from "../test/support/files.ts";
import { type CaseResult, runModel } from "./oracles/engine.ts";
import { readModels, WORK } from "./oracles/files.ts";
import { runInChromium } from "./oracles/in-chromium.ts";
import { type Found, type FromPython, faultsOf, pageOf } from "./oracles/page.ts";
import { prepareModel } from "./oracles/prepare.ts";
import { runSpeed } from "./oracles/speed.ts";
import { runText } from "./oracles/text.ts";
import { root } from "./packed.ts";
import { makeEnvironment } from "./python-environment.ts";

process.env["SLUICE_DAWN_FLAGS"] ??= UNCHECKED;

const keep = process.argv.includes("--keep");
const patterns = process.argv.slice(2).filter((arg) => arg !== "--keep");
const pattern = new RegExp(patterns.join("|"));
const folder = join(root, "python");
const python =
  process.env["PYTHON_ORACLES"] ||
  makeEnvironment(join(folder, ".venv-oracles"), join(folder, "requirements-oracles.txt"), { hashes: false });
const work = location(WORK);
/** Chromium runs one in so many cases of what sweeps: it computes the same bits, which the page counts. */
const EVERY = 3;

if (!keep) await rm(work, { recursive: true, force: true });
await mkdir(work, { recursive: true });
const models = await step("models and bundles", async () => {
  await runPython(join("oracles", "prepare.py"), work, join(root, "weights"));
  const chosen = (await readModels()).filter(({ name }) => pattern.test(name));
  await writeFile(join(work, "models.json"), JSON.stringify(chosen));
  return chosen;
});
await step("quantised, baked and imported", async () => {
  for (const model of models) await prepareModel(model);
  return true;
});
await step("transformers", async () => {
  await runPython(join("oracles", "expect.py"), work, join(root, "weights"));
  return true;
});
// Each keeps about one core busy.
const [node, chromium] = await Promise.all([
  step("the engine in Node", async () => {
    const results: CaseResult[] = [];
    for (const model of models) results.push(...(await step(`Node, ${model.name}`, () => runModel(model))));
    return results;
  }),
  step("the engine in Chromium", () => runInChromium(models, EVERY)),
]);
const text = await step("texts", async () => {
  await runPython(join("oracles", "text.py"), work);
  return runText();
});
const speed = patterns.length > 0 ? [] : await step("speed", () => runSpeed(process.env["PYTHON_LENS"] || python));

const found: Found = {
  date: new Date().toISOString().slice(0, 10),
  models,
  node,
  chromium: chromium.results,
  text,
  speed,
  python: await readJson<FromPython>(`${WORK}/python.json`),
  environment: await environmentOf(),
};
const faults = faultsOf(found);
for (const fault of faults) console.log(`✘ ${fault}`);
if (patterns.length > 0) console.log(pageOf(found));
else {
  await writeFile(join(root, "docs/correctness.md"), pageOf(found));
  await runTorchTests();
}
const count =
  node.length + chromium.results.length + found.python.baked.length + text.reduce((n, each) => n + each.cases, 0);
console.log(`${count - faults.length} passed, ${faults.length} failed`);
if (faults.length > 0) process.exitCode = 1;

/** What the package's own tests say of `apply`, and the page that leads from PyTorch to a browser, all of it. */
async function runTorchTests(): Promise<void> {
  await timed("python/tests with torch", () => runPython("-m", "pytest", "-q", "-m", "torch"));
  process.env["PYTHON"] = python;
  await timed("docs/from-pytorch.md", () => run("npx", ["tsx", "scripts/run-docs.ts", "from-pytorch"], root));
}

async function environmentOf(): Promise<string[]> {
  const { versions } = await readJson<FromPython>(`${WORK}/python.json`);
  const { adapter } = await openAdapter({});
  const { vendor, architecture, device, description } = adapter.info;
  const software = [vendor, architecture, device, description].filter((part) => part !== "").join(" ");
  const [{ model: processor = "" } = {}] = cpus();
  const [load = 0] = loadavg();
  return [
    `Sluice ${await packageVersion()} in Node ${process.versions.node} on ${software}, and in Chromium ${chromium.version} on ${chromium.adapter}`,
    Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(", "),
    `${cpus().length} cores of ${processor.trim()}; at the end ${load.toFixed(1)} processes wanted to run on them (load)`,
  ];
}

async function packageVersion(): Promise<string> {
  return (JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { version: string }).version;
}

function runPython(...args: readonly string[]): Promise<void> {
  return run(python, args, folder);
}

function run(program: string, args: readonly string[], cwd: string): Promise<void> {
  const path = ["src", "oracles", "tests"].map((name) => join(folder, name));
  const env = {
    ...process.env,
    PYTHONPATH: [...path, process.env["PYTHONPATH"] ?? ""].join(delimiter),
    TRANSFORMERS_VERBOSITY: "error",
    HF_HUB_OFFLINE: "1",
  };
  const child = spawn(program, args, { cwd, env, stdio: ["ignore", "inherit", "inherit"] });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => (code === 0 ? resolve() : reject(new Error(`${args.join(" ")} ended with ${code}`))));
  });
}

/** Does a step of the matrix and keeps its result, or takes the one that was kept. */
async function step<T>(what: string, work: () => Promise<T>): Promise<T> {
  const file = join(location(WORK), `${what.replace(/\W+/g, "-")}.step.json`);
  if (keep && existsSync(file)) return JSON.parse(await readFile(file, "utf8")) as T;
  const result = await timed(what, work);
  await writeFile(file, JSON.stringify(result));
  return result;
}

async function timed<T>(what: string, work: () => Promise<T>): Promise<T> {
  const started = performance.now();
  const result = await work();
  console.log(`${what}: ${((performance.now() - started) / 1000).toFixed(1)} s`);
  return result;
}
