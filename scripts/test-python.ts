/**
 * Tests python/ in a virtual environment of its own, python/.venv, made of what python/requirements-test.txt locks by
 * hashes: numpy, safetensors and pytest. Tests that need torch are left out: `npm run test:oracles` runs them.
 *
 *   npm run test:python -- [arguments of pytest]
 *
 * The interpreter is $PYTHON, or python3, 3.10 or later. The last line is `N passed, N failed`. On a machine without
 * Python or without a package index the exit code is 3 and the last line says that Python was not tested.
 */
import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { makeEnvironment, PythonUnavailable } from "./python-environment.ts";

const folder = join(dirname(fileURLToPath(import.meta.url)), "../python");

function environment(): string {
  try {
    return makeEnvironment(join(folder, ".venv"), join(folder, "requirements-test.txt"), { hashes: true });
  } catch (error) {
    const unavailable = error instanceof PythonUnavailable;
    console.log(error instanceof Error ? error.message : error);
    console.log(unavailable ? "PYTHON WAS NOT TESTED: this machine lacks what is named above" : "0 passed, 1 failed");
    process.exit(unavailable ? 3 : 1);
  }
}

const args = ["-m", "pytest", "-q", "--color=no", "-m", "not torch", ...process.argv.slice(2)];
const { status, stdout, stderr } = spawnSync(environment(), args, { cwd: folder, encoding: "utf8" });
process.stdout.write(stdout);
process.stderr.write(stderr);

/** How many tests there are of a kind in pytest's summary, `129 passed, 2 skipped in 0.45s`. */
const count = (word: string): number =>
  Number(new RegExp(`(\\d+) ${word}s?\\b`).exec(stdout.trimEnd().split("\n").at(-1) ?? "")?.[1] ?? 0);
const passed = count("passed");
const failed = count("failed") + count("error");
// A run that ended without a test, or in pytest itself, has failed.
const unsaid = failed === 0 && (status !== 0 || passed === 0) ? 1 : 0;
console.log(`${passed} passed, ${failed + unsaid} failed`);
process.exitCode = failed + unsaid > 0 ? 1 : 0;
