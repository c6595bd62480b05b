/** The Python that runs the documentation's blocks: $PYTHON, or the environment that `npm run test:python` makes. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { root } from "../packed.ts";
import { pythonOf } from "../python-environment.ts";

const ENVIRONMENT = join(root, "python/.venv");

/** What finds the package that `pip install ./python` would install. */
export const packagePath = join(root, "python/src");

/** Its interpreter; undefined if there is none. */
export function docsPython(): string | undefined {
  return process.env["PYTHON"] || (existsSync(ENVIRONMENT) ? pythonOf(ENVIRONMENT) : undefined);
}

/** The modules that a block imports and that are not installed. */
export function missingModules(python: string, text: string): readonly string[] {
  const names = new Set([...text.matchAll(/^(?:from|import) (\w+)/gm)].map(([, name = ""]) => name));
  const script = "import importlib.util, sys; print(*(n for n in sys.argv[1:] if importlib.util.find_spec(n) is None))";
  const env = { ...process.env, PYTHONPATH: packagePath };
  const { stdout, error } = spawnSync(python, ["-c", script, ...names], { encoding: "utf8", env });
  if (error) throw error;
  return stdout.split(/\s+/).filter((name) => name !== "");
}
