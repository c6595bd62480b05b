// Host memory of loading and running models: peak RSS, less the bytes of GPU buffers (a software GPU's memory is the
// process's own), less the peak RSS of `sluice info`.
//
//   node scripts/build.mjs --no-types && node scripts/measure-memory.mjs MODEL... [--runs N]
//
// Each figure is from a separate process that loads the model, generates three tokens and ends; MiB. Models of a real
// one's shape come from scripts/make-synthetic.mjs. Linux, macOS: maxRSS is in KiB there.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { runs: { type: "string", default: "3" } },
});
const runs = Number(values.runs);
if (positionals.length === 0 || !Number.isSafeInteger(runs) || runs < 1) {
  console.error("Usage: node scripts/measure-memory.mjs MODEL... [--runs N]");
  process.exit(2);
}

/** Runs a module in a separate process and reads the figures it reports at its end. */
function measured(source, ...args) {
  const report = `process.on("exit", () => console.error("\\n@" + JSON.stringify([process.resourceUsage().maxRSS * 1024, globalThis.gpuBytes ?? 0])));`;
  const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", report + source, ...args], {
    encoding: "utf8",
    stdio: ["ignore", "ignore", "pipe"],
  });
  if (status !== 0) throw new Error(stderr.slice(-2000));
  return JSON.parse(stderr.slice(stderr.lastIndexOf("@") + 1));
}

const address = (path) => JSON.stringify(new URL(path, import.meta.url).href);
const least = (numbers) => Math.min(...numbers);
const times = (work) => Array.from({ length: runs }, work);
const mib = (bytes) => Math.round(bytes / 2 ** 20);

// The command line reads its arguments from argv: a program evaluated with -e has no script's name in it.
const cli = fileURLToPath(new URL("../bin/sluice.js", import.meta.url));
const info = `process.argv.splice(1, 0, ${JSON.stringify(cli)}); await import(${address("../bin/sluice.js")});`;
const base = least(times(() => measured(info, "info")[0]));
console.log(`sluice info: ${mib(base)} MiB at its peak, the least of ${runs} runs`);

const generate = `
  const { load } = await import(${address("../dist/index.js")});
  const model = await load(process.argv[1]);
  for await (const _ of model.generate([1, 2, 3, 4], { maxNewTokens: 3 })) globalThis.gpuBytes = model.gpuBytes;
  model.dispose();
`;
for (const model of positionals) {
  const results = times(() => measured(generate, model));
  const own = results.map(([peak, gpu]) => mib(peak - gpu - base));
  const [peak, gpu] = results[0];
  console.log(`${model}: ${own.join(", ")} MiB of its own (first run: peak ${mib(peak)}, GPU buffers ${mib(gpu)})`);
}
