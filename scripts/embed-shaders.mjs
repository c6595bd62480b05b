// Writes every shader under shaders/ as a string, so that the engine needs no file access at run time and runs the same
// in a page and in Node: src/kernels/shaders.gen.ts, and what only instruments use into instrument-shaders.gen.ts. Beside
// them engine-version.gen.ts says which shaders these are.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join, sep } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const shaders = join(root, "shaders");
const kernels = join(root, "src/kernels");
const instrument = /^(?:backward|ceilings|fit)\//;

const entries = readdirSync(shaders, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".wgsl"))
  .map((file) => file.split(sep).join("/"))
  .sort()
  .map((file) => ({
    name: file.replace(/\.wgsl$/, ""),
    line: `  ${JSON.stringify(file.replace(/\.wgsl$/, ""))}: ${JSON.stringify(readFileSync(join(shaders, file), "utf8"))},\n`,
  }));
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const all = entries.map(({ line }) => line).join("");
const digest = createHash("sha256").update(all).digest("hex").slice(0, 12);

writeShaders("shaders.gen.ts", ({ name }) => !instrument.test(name));
writeShaders("instrument-shaders.gen.ts", ({ name }) => instrument.test(name));
write(
  "engine-version.gen.ts",
  `/** Version of the package and all shaders: measurements with another one do not apply to this one's kernels. */\n` +
    `export const engineVersion = ${JSON.stringify(`${version}+${digest}`)};\n`,
);

/**
 * @param {string} file
 * @param {(entry: { name: string }) => boolean} isIn
 */
function writeShaders(file, isIn) {
  const lines = entries.filter(isIn).map(({ line }) => line);
  write(file, `export const shaderFiles: Readonly<Record<string, string>> = {\n${lines.join("")}};\n`);
}

/**
 * @param {string} file
 * @param {string} code
 */
function write(file, code) {
  const text = `// Made by scripts/embed-shaders.mjs from shaders/. Do not edit.\n${code}`;
  const target = join(kernels, file);
  // Whole or not at all, and not when nothing changed: a test or a build may be reading the file at this moment.
  if (existsSync(target) && readFileSync(target, "utf8") === text) return;
  const fresh = `${target}.${process.pid}`;
  writeFileSync(fresh, text);
  renameSync(fresh, target);
}
