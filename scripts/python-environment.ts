/**
 * Virtual environments of Python for the tests, made of lock files, with whatever of uv, pip, venv and virtualenv a
 * machine has.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** A machine that has no Python, no way to make environments or no package index: nothing is known about the code. */
export class PythonUnavailable extends Error {}

/** A download that hangs must not take CI's time. */
const LIMIT_MS = 10 * 60_000;

/** What installers say when they reach no index. Whatever else goes wrong, a hash that differs say, is a failure. */
const UNREACHABLE =
  /No matching distribution|Could not find a version|Failed to (?:fetch|establish)|[Cc]onnection|timed out|Temporary failure|name resolution|dns error/;

/** The interpreter of an environment. @param environment its folder */
export function pythonOf(environment: string): string {
  return join(environment, process.platform === "win32" ? "Scripts/python.exe" : "bin/python");
}

export interface EnvironmentOptions {
  /** Whether the lock file has hashes, which are then required. */
  readonly hashes: boolean;
  /** By default $PYTHON or python3. */
  readonly interpreter?: string;
}

/**
 * Makes an environment, or leaves one that is already of this lock file and interpreter.
 * @param environment folder, which is replaced
 * @param lock requirements file
 * @returns its interpreter
 * @throws PythonUnavailable if this machine cannot make one
 */
export function makeEnvironment(
  environment: string,
  lock: string,
  { hashes, interpreter = process.env["PYTHON"] || "python3" }: EnvironmentOptions,
): string {
  const version = versionOf(interpreter);
  const python = pythonOf(environment);
  const stamp = join(environment, "made-of");
  const wanted = createHash("sha256").update(readFileSync(lock)).update(version).digest("hex");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return python;

  const listed = [...(hashes ? ["--require-hashes"] : []), "-r", lock];
  const pip = ["pip", "--disable-pip-version-check"];
  const install = ["install", "--quiet", "--no-compile", ...listed];
  // The fastest first.
  const ways: readonly (readonly (readonly string[])[])[] = [
    [
      ["uv", "venv", "--quiet", "--python", interpreter, environment],
      // The processor's build of torch, where there is one.
      ["uv", "pip", "install", "--quiet", "--torch-backend", "cpu", "--python", python, ...listed],
    ],
    [
      [interpreter, "-m", "venv", "--without-pip", environment],
      [interpreter, "-m", ...pip, "--python", python, ...install],
    ],
    [
      [interpreter, "-m", "venv", environment],
      [python, "-m", ...pip, ...install],
    ],
    [
      [interpreter, "-m", "virtualenv", "--quiet", environment],
      [python, "-m", ...pip, ...install],
    ],
  ];
  const reports: string[] = [];
  for (const way of ways) {
    rmSync(environment, { recursive: true, force: true });
    const failed = way.map(attempt).find((report) => report !== undefined);
    if (failed === undefined) {
      writeFileSync(stamp, wanted);
      return python;
    }
    reports.push(failed);
  }
  rmSync(environment, { recursive: true, force: true });
  const report = reports.join("\n");
  if (/hash/i.test(report)) throw new Error(`${lock} does not install:\n${report}`);
  if (reports.every((text) => UNREACHABLE.test(text) || CANNOT.test(text))) {
    throw new PythonUnavailable(`no environment could be made of ${lock}:\n${report}`);
  }
  throw new Error(`${lock} does not install:\n${report}`);
}

/** What a machine without a tool says: it is not there, or it lacks the module. */
const CANNOT = /ENOENT|No module named|ensurepip is not available|no such option|No such file/;

/** Runs a command. @returns its words if it fails */
function attempt([program = "", ...args]: readonly string[]): string | undefined {
  const { status, error, stdout, stderr } = spawnSync(program, args, { encoding: "utf8", timeout: LIMIT_MS });
  if (status === 0) return undefined;
  return [`${program} ${args.slice(0, 3).join(" ")} …`, error?.message, stdout, stderr].filter(Boolean).join("\n");
}

/** The version of an interpreter, which is new enough. */
function versionOf(interpreter: string): string {
  const { stdout, error } = spawnSync(interpreter, ["-c", "import sys; print(*sys.version_info[:3], sep='.')"], {
    encoding: "utf8",
  });
  const version = stdout?.trim();
  if (error || !version) {
    throw new PythonUnavailable(`${interpreter} does not run: install Python 3.10 or later, or name it in PYTHON`);
  }
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major < 3 || (major === 3 && minor < 10)) {
    throw new PythonUnavailable(
      `${interpreter} is Python ${version}, and 3.10 or later is needed: name another in PYTHON`,
    );
  }
  return version;
}
