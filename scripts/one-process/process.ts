/**
 * A process that runs programs one after another, for tests that would otherwise start a process for each: modules are
 * loaded once and kernels compiled once (shared-device.ts). Each program is a module of its own, with arguments, folder,
 * environment, streams and exit code of its own; when it ends, the globals that it made and what it left on the device are
 * taken away. One that leaves something open fails: its own process would never have ended.
 *
 *   node process.js ADDRESS
 *
 * It tells its parent when it listens.
 */
import { createServer, type Socket } from "node:net";
import { PassThrough } from "node:stream";
import { pathToFileURL } from "node:url";
import { type Answer, type Asked, line, linesOf, type Typed } from "./messages.ts";
import { shareDevices } from "./shared-device.ts";

/** How long a program may take to close what it has opened. */
const CLOSING_MS = 3000;
const LOOK_MS = 10;

const [address = ""] = process.argv.slice(2);
const { globals } = (await import("webgpu")) as unknown as { globals: { GPUAdapter: { prototype: GPUAdapter } } };
const devices = shareDevices(globals.GPUAdapter.prototype);

/** Ends the program that runs with an error that nobody caught. */
let endWith: ((error: unknown) => void) | undefined;
process.on("uncaughtException", (error) => {
  if (endWith) return endWith(error);
  console.error(error);
  process.exit(1);
});

let runs = 0;
let last: Promise<void> = Promise.resolve();
createServer((socket) => void take(socket)).listen(address, () => process.send?.("listens"));

/** Takes what comes in at a connection, and answers when its turn has come. */
async function take(socket: Socket): Promise<void> {
  // Who writes hears of it too.
  socket.on("error", () => socket.destroy());
  const stdin = new PassThrough();
  let asked: Asked | undefined;
  for await (const text of linesOf(socket)) {
    if (!asked) {
      const first: Asked = JSON.parse(text);
      asked = first;
      last = last.then(() => answer(socket, first, stdin));
      continue;
    }
    const { stdin: bytes } = JSON.parse(text) as Typed;
    if (bytes === null) stdin.end();
    else stdin.write(Buffer.from(bytes, "base64"));
  }
}

async function answer(socket: Socket, asked: Asked, stdin: PassThrough): Promise<void> {
  const say = (message: Answer, done?: (error?: Error | null) => void) => socket.write(line(message), done);
  const restore = [
    divert(process.stdout, (bytes, done) => say({ stdout: bytes.toString("base64") }, done)),
    divert(process.stderr, (bytes, done) => say({ stderr: bytes.toString("base64") }, done)),
  ];
  Object.defineProperty(process, "stdin", { value: stdin, configurable: true });
  let exit = 1;
  try {
    exit = await run(asked);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  }
  for (const each of restore) each();
  say({ exit });
  socket.end();
}

/** @returns the exit code */
async function run({ module, args, cwd, env }: Asked): Promise<number> {
  process.chdir(cwd);
  for (const name of Object.keys(process.env)) if (!(name in env)) delete process.env[name];
  Object.assign(process.env, env);
  process.argv = [process.execPath, module, ...args];
  process.exitCode = undefined;
  const before = openNow();
  const names = new Set(Object.keys(globalThis));
  const uncaught = new Promise<never>((_, reject) => {
    endWith = reject;
  });
  try {
    // Under a name of its own it is loaded anew.
    await Promise.race([uncaught, import(`${pathToFileURL(module).href}?${++runs}`)]);
    const left = await Promise.race([uncaught, leftOpen(before)]);
    if (left.length > 0) throw new Error(`${module} would keep its process alive: it left ${left.join(", ")} open`);
    return Number(process.exitCode ?? 0);
  } finally {
    endWith = undefined;
    process.exitCode = undefined;
    for (const name of Object.keys(globalThis)) if (!names.has(name)) Reflect.deleteProperty(globalThis, name);
    await devices.clear();
  }
}

/** What would keep the process alive, by kind. */
function openNow(): readonly string[] {
  return process.getActiveResourcesInfo();
}

/** What is open beside what was before, when a program has had time to close it. */
async function leftOpen(before: readonly string[]): Promise<readonly string[]> {
  for (const end = performance.now() + CLOSING_MS; ; ) {
    const known = [...before];
    const left = openNow().filter((kind) => {
      const at = known.indexOf(kind);
      if (at >= 0) known.splice(at, 1);
      return at < 0;
    });
    if (left.length === 0 || performance.now() > end) return left;
    // Unreferenced, so that it is none of what is open.
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS).unref());
  }
}

/** Sends elsewhere what is written to a stream. @returns ends that */
function divert(
  stream: NodeJS.WriteStream,
  write: (bytes: Buffer, done?: (error?: Error | null) => void) => void,
): () => void {
  const own = stream.write;
  stream.write = (chunk: string | Uint8Array, encoding?: unknown, done?: unknown): boolean => {
    const callback = [encoding, done].find((each) => typeof each === "function");
    write(typeof chunk === "string" ? Buffer.from(chunk) : Buffer.from(chunk), callback as () => void);
    return true;
  };
  return () => {
    stream.write = own;
  };
}
