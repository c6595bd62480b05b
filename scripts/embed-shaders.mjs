// Writes src/kernels/shaders.gen.ts: every shader under shaders/ as a string, so that the engine needs no
// file access at run time and runs the same in a page and in Node; and the engine's version, which changes with any of
// them, because what was measured on other kernels says nothing of these.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join, sep } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const shaders = join(root, "shaders");
const target = join(root, "src/kernels/shaders.gen.ts");

const entries = readdirSync(shaders, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".wgsl"))
  .sort()
  .map((file) => {
    const name = file
      .split(sep)
      .join("/")
      .replace(/\.wgsl$/, "");
    return `  ${JSON.stringify(name)}: ${JSON.stringify(readFileSync(join(shaders, file), "utf8"))},\n`;
  });
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const digest = createHash("sha256").update(entries.join("")).digest("hex").slice(0, 12);
const text =
  "// Made by scripts/embed-shaders.mjs from shaders/. Do not edit.\n" +
  `export const shaderFiles: Readonly<Record<string, string>> = {\n${entries.join("")}};\n` +
  `export const engineVersion = ${JSON.stringify(`${version}+${digest}`)};\n`;

// Whole or not at all, and not when nothing changed: a test or a build may be reading the file at this moment.
if (!existsSync(target) || readFileSync(target, "utf8") !== text) {
  const fresh = `${target}.${process.pid}`;
  writeFileSync(fresh, text);
  renameSync(fresh, target);
}
