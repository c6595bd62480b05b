/**
 * Checks rules that off-the-shelf linters lack: that dependencies point downwards only (types too) and never in a circle,
 * that modules which run in pages use nothing of Node, that no module grows too long, and that nothing is left for
 * later.
 *
 *   tsx scripts/check-layers.ts
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { dirname, join, posix, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { layers, maxLines, nodeModules, nodePackages } from "./layers.ts";

const leftForLater = /\b(?:TO[D]O|FIX[M]E|X[X]X)\b/;
const conflict = /^(?:<{7}|>{7}) /m;
const nodeGlobal = /(?<![\w.$"'`/])(?:process|Buffer|__dirname|__filename)\b(?=\.|\()/;

/**
 * What is wrong with a file, each as `file:line: sentence`.
 * @param file path in the repository
 * @param text its contents
 */
export function check(file: string, text: string): string[] {
  const problems: string[] = [];
  const report = (index: number, problem: string) =>
    problems.push(`${file}:${text.slice(0, index).split("\n").length}: ${problem}`);

  const lines = text.split("\n").length - 1;
  if (lines > maxLines) report(0, `${lines} lines; a module has at most ${maxLines}, split it`);
  const later = leftForLater.exec(text);
  if (later) report(later.index, `${later[0]}: do it, or make an issue of it`);
  const unmerged = conflict.exec(text);
  if (unmerged) report(unmerged.index, "a merge conflict was left in it");
  if (!file.startsWith("src/") || !file.endsWith(".ts")) return problems;

  const code = withoutComments(text);
  for (const { specifier, index } of importsOf(code)) {
    const target = targetOf(file, specifier);
    const problem = target.startsWith("src/") ? layerProblem(file, target) : outsideProblem(file, target);
    if (problem) report(index, problem);
  }
  const global = nodeModules.test(file) ? null : nodeGlobal.exec(code);
  if (global) report(global.index, `${global[0]} does not exist in a page`);
  return problems;
}

/**
 * Circles of imports, types and late imports included: modules in a circle can only be understood together.
 * @param texts of the modules by path
 * @returns each circle as `file: imports itself by way of …`, the file first by name
 */
export function circles(texts: ReadonlyMap<string, string>): string[] {
  const imports = new Map(
    [...texts].map(([file, text]) => [
      file,
      importsOf(withoutComments(text))
        .map(({ specifier }) => targetOf(file, specifier))
        .filter((target) => texts.has(target)),
    ]),
  );
  const found = new Map<string, string>();
  const done = new Set<string>();
  /** The modules from the first one that was entered to the present one. */
  const path: string[] = [];
  const visit = (file: string): void => {
    const begun = path.indexOf(file);
    if (begun >= 0) {
      const circle = path.slice(begun);
      const first = circle.indexOf([...circle].sort()[0] as string);
      const [head, ...rest] = [...circle.slice(first), ...circle.slice(0, first)];
      found.set([...circle].sort().join(), `${head}: imports itself by way of ${rest.join(", ") || "itself"}`);
      return;
    }
    if (done.has(file)) return;
    path.push(file);
    for (const target of imports.get(file) ?? []) visit(target);
    path.pop();
    done.add(file);
  };
  for (const file of imports.keys()) visit(file);
  return [...found.values()];
}

function layerProblem(file: string, target: string): string | undefined {
  const from = placeOf(file);
  const to = placeOf(target);
  if (!from || !to) return `${from ? target : file} is in no layer; scripts/layers.ts says where things are`;
  if (from.path === to.path || to.level < from.level) return undefined;
  const direction = to.level > from.level ? "upwards" : "sideways";
  return `imports ${target}, ${direction}: ${from.path} may import only what is below it (scripts/layers.ts)`;
}

function outsideProblem(file: string, target: string): string | undefined {
  const forNode = isBuiltin(target) || nodePackages.some((name) => target === name || target.startsWith(`${name}/`));
  if (forNode && !nodeModules.test(file)) return `imports ${target}, which a page does not have`;
  if (/^(?:test|scripts|bench|\.\.)\//.test(target)) return `imports ${target}, which is not part of src`;
  return undefined;
}

function placeOf(file: string): { path: string; level: number } | undefined {
  return layers
    .flatMap((paths, level) => paths.map((path) => ({ path, level })))
    .filter(({ path }) => file.startsWith(path))
    .sort((a, b) => b.path.length - a.path.length)[0];
}

/** What a specifier leads to: a path in the repository for relative imports, else the specifier itself. */
function targetOf(file: string, specifier: string): string {
  return specifier.startsWith(".") ? posix.join(posix.dirname(file), specifier) : specifier;
}

/** Static, type-only and dynamic imports, and re-exports. */
function importsOf(code: string): { specifier: string; index: number }[] {
  const statements = code.matchAll(/^[ \t]*(?:import|export)\b(?:[^"'`;=]*?\bfrom\s*|\s*)["']([^"']+)["']/gm);
  const calls = code.matchAll(/\bimport\(\s*["']([^"']+)["']/g);
  return [...statements, ...calls].map((match) => ({ specifier: match[1] ?? "", index: match.index }));
}

/** The text with comments blanked out and every position kept. */
function withoutComments(text: string): string {
  const stringOrComment = /"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\[\s\S]|[^`\\])*`|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g;
  return text.replace(stringOrComment, (part) => (part.startsWith("/") ? part.replace(/[^\n]/g, " ") : part));
}

function main(): void {
  const root = join(dirname(fileURLToPath(import.meta.url)), "..");
  const files = ["src", "shaders", "test", "scripts", "bench", "bin"]
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) => {
      const entries = readdirSync(join(root, folder), { recursive: true, encoding: "utf8" });
      return entries.map((entry) => `${folder}/${entry.split(sep).join("/")}`);
    })
    .filter((file) => /\.(?:ts|mjs|js|wgsl)$/.test(file) && !/\.gen\.ts$|\/node_modules\//.test(file));
  const texts = new Map(files.map((file) => [file, readFileSync(join(root, file), "utf8")]));
  const modules = new Map([...texts].filter(([file]) => file.startsWith("src/")));
  const pages = readdirSync(root).filter((file) => file.endsWith(".md"));
  const problems = [
    ...[...texts].flatMap(([file, text]) => check(file, text)),
    ...pages.flatMap((file) => check(file, readFileSync(join(root, file), "utf8"))),
    ...circles(modules),
  ];
  for (const problem of problems) console.error(problem);
  console.log(`Checked ${files.length} files for layers, circles and size. ${problems.length} problems.`);
  process.exitCode = problems.length > 0 ? 1 : 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
