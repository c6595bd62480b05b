/**
 * Type-checks what pages run without Node's types (tsconfig.pages.json): a `process`, a `Buffer` or a `node:` import
 * there would compile beside Node's types and fail in the browser. The modules for Node alone are part of the program,
 * because those of pages name them where the build puts a page's own; what the compiler says of them is left out.
 */
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { nodeModules } from "./layers.ts";
import { root } from "./packed.ts";

const compiler = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin/tsc");
const options = ["-p", "tsconfig.pages.json", "--pretty", "false"];
const { stdout, error } = spawnSync(process.execPath, [compiler, ...options], { cwd: root, encoding: "utf8" });
if (error) throw error;

const lines = stdout.split("\n").filter((line) => line !== "");
const ofNode = (line: string): boolean => nodeModules.test(line.slice(0, line.indexOf("(")));
const faults = lines.filter((line) => !line.startsWith(" ") && !ofNode(line));
for (const fault of faults) console.log(fault);
// Without a single error in the modules for Node, Node's types were there after all.
if (lines.length === 0) console.log("Node's types are part of tsconfig.pages.json");
process.exitCode = faults.length > 0 || lines.length === 0 ? 1 : 0;
