// Tests python/ in a virtual environment of its own, python/.venv, made of what python/requirements-test.txt locks by
// hashes: numpy, safetensors and pytest. Tests that need torch are left out; python/README.md says how to run them.
//
//   node scripts/test-python.mjs [arguments of pytest]
//
// The interpreter is $PYTHON, or python3; it must be Python 3.10 or later.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = join(dirname(fileURLToPath(import.meta.url)), "../python");
const environment = join(folder, ".venv");
const interpreter = process.env.PYTHON || "python3";

/** @param {string} program @param {readonly string[]} args @param {import("node:child_process").StdioOptions} stdio */
function run(program, args, stdio = "inherit") {
  return spawnSync(program, args, { cwd: folder, stdio, encoding: "utf8" });
}

/** @param {string} problem @returns {never} */
function stop(problem) {
  console.error(problem);
  process.exit(1);
}

const { stdout, error } = run(interpreter, ["-c", "import sys; print(*sys.version_info[:3], sep='.')"], "pipe");
if (error || !stdout) stop(`${interpreter} does not run: install Python 3.10 or later, or name it in PYTHON.`);
const version = stdout.trim();
const [major = 0, minor = 0] = version.split(".").map(Number);
if (major < 3 || (major === 3 && minor < 10)) {
  stop(`${interpreter} is Python ${version}; the package needs 3.10 or later. Name another in PYTHON.`);
}

const lock = join(folder, "requirements-test.txt");
const stamp = join(environment, "made-of");
const wanted = createHash("sha256").update(readFileSync(lock)).update(version).digest("hex");
const python = join(environment, process.platform === "win32" ? "Scripts/python.exe" : "bin/python");

if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== wanted) {
  rmSync(environment, { recursive: true, force: true });
  if (run(interpreter, ["-m", "venv", environment]).status !== 0) {
    stop(
      `${interpreter} made no virtual environment; on Debian and Ubuntu its module venv is the package python3-venv.`,
    );
  }
  const install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", lock];
  if (run(python, install).status !== 0) stop("What python/requirements-test.txt lists could not be installed.");
  writeFileSync(stamp, wanted);
}
process.exit(run(python, ["-m", "pytest", "-q", "-m", "not torch", ...process.argv.slice(2)]).status ?? 1);
