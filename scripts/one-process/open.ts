/** The process of process.ts in the folder of the installed package, which it and its programs use. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { UNCHECKED } from "../../test/support/chromium.ts";
import { installPacked, root } from "../packed.ts";
import { ask } from "./ask.ts";

/** A program that takes longer than this hangs. */
export const LIMIT_MS = 300_000;

export interface Ended {
  /** Null if the process ended before the program did: it crashed, or the program took too long. */
  readonly exit: number | null;
  readonly late: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

export interface OneProcess {
  /** The start of a shell's command that runs a module in the process; the module and its arguments follow. */
  readonly command: readonly string[];
  /** Starts the process if it does not run: before a shell's command, which cannot do so. */
  start(): Promise<void>;
  /** Runs a module. After one that fails the process is started anew. @param env beside this process's own variables */
  run(module: string, cwd: string, args?: readonly string[], env?: NodeJS.ProcessEnv): Promise<Ended>;
  /** Ends the process at once, with what runs in it. */
  end(): void;
}

let opened: Promise<OneProcess> | undefined;

/** One for all who install the package in this process ({@link installPacked}). It ends with this process. */
export function openProcess(): Promise<OneProcess> {
  opened ??= installPacked().then(({ folder }) => openProcessIn(folder));
  return opened;
}

/** @param folder whose node_modules has the packages; files of ours go into one-process in it */
export async function openProcessIn(folder: string): Promise<OneProcess> {
  const outdir = join(folder, "one-process");
  // The checks of bounds take a third of the time to compile, and change no bit.
  const env = { ...process.env, SLUICE_DAWN_FLAGS: UNCHECKED };
  await build({
    absWorkingDir: root,
    entryPoints: ["scripts/one-process/process.ts", "scripts/one-process/command.ts"],
    outdir,
    ...{ bundle: true, platform: "node", format: "esm", packages: "external" },
  });
  const address = join(outdir, "socket");
  let child: ChildProcess | undefined;
  let starting: Promise<void> | undefined;
  const end = (): void => {
    child?.kill("SIGKILL");
    starting = undefined;
  };
  process.once("exit", end);
  const startNow = async (): Promise<void> => {
    rmSync(address, { force: true });
    const fresh = fork(join(outdir, "process.js"), [address], {
      cwd: folder,
      env,
      execArgv: ["--enable-source-maps"],
    });
    child = fresh;
    fresh.once("exit", () => {
      if (child === fresh) starting = undefined;
    });
    await Promise.race([
      once(fresh, "message"),
      once(fresh, "exit").then(() => Promise.reject(new Error("the process that runs programs does not start"))),
    ]);
    fresh.disconnect();
    fresh.unref();
  };
  const start = (): Promise<void> => {
    starting ??= startNow();
    return starting;
  };
  return {
    command: [process.execPath, join(outdir, "command.js"), address],
    start,
    async run(module, cwd, args = [], more = {}) {
      await start();
      const [stdout, stderr]: [Uint8Array[], Uint8Array[]] = [[], []];
      let late = false;
      const timer = setTimeout(() => {
        late = true;
        end();
      }, LIMIT_MS);
      const exit = await ask(
        address,
        { module, args, cwd, env: { ...env, ...more } },
        { stdout: (bytes) => stdout.push(bytes), stderr: (bytes) => stderr.push(bytes) },
      );
      clearTimeout(timer);
      // What it has left open would go on.
      if (exit !== 0) end();
      return { exit, late, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() };
    },
    end,
  };
}
