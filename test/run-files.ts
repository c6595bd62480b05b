/** Which test files there are, and where each runs. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { filesWithHomes, livesElsewhere } from "./run-homes.ts";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..");

/**
 * `firefox` runs what a page in any browser runs, where the system has that browser. `package` tests install the packed
 * package elsewhere. Both are slow and run only when asked for.
 */
export type Environment = "node" | "page" | "firefox" | "package";

/**
 * A test runs in Node and in a page, unless what it imports itself says that it is about Node: builtins, the `webgpu`
 * module, the command line, the scripts, a browser of its own, or the engine's modules for Node. Anything else that
 * does not work in a page fails there.
 */
const aboutNode = [/^node:/, /^webgpu$/, /\/chromium\.ts$/, /\/(?:cli|scripts)\//, /\/node(?:-[^/]*)?\.ts$/];

/** Paths of the test files for one of the environments that run, sorted; `pattern` is tried on the path. */
export function testFiles(environment: Environment, pattern: RegExp, environments: readonly Environment[]): string[] {
  const stale = filesWithHomes().filter((file) => !existsSync(join(root, file)));
  if (stale.length > 0) throw new Error(`test/run-homes.ts names ${stale.join(", ")}, which does not exist`);
  return readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" })
    .map((path) => `test/${path.split(sep).join("/")}`)
    .filter((file) => file.endsWith(".test.ts") && pattern.test(file) && runsIn(environment, file))
    .filter((file) => !livesElsewhere(file, environment, environments))
    .sort();
}

function runsIn(environment: Environment, file: string): boolean {
  if (file.startsWith("test/package/")) return environment === "package";
  // About the Chromium that page tests run in.
  if (file.startsWith("test/page/")) return environment === "page";
  if (file.startsWith("test/cli/")) return environment === "node";
  const inPage = environment === "page" || environment === "firefox";
  return environment === "node" || (inPage && !isAboutNode(readFileSync(join(root, file), "utf8")));
}

function isAboutNode(text: string): boolean {
  const imports = text.matchAll(/^import\b[^"]*"([^"]+)"|\bimport\("([^"]+)"\)/gm);
  return [...imports].some((match) => aboutNode.some((pattern) => pattern.test(match[1] ?? match[2] ?? "")));
}
