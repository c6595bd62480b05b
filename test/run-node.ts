/** Runs test files in this process: asks its parent for one after the other, and sends it each result. */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { root } from "./run-files.ts";
import { type FileResult, isUvuMark, measureTests, runFile } from "./run-suite.ts";
import { ProcessorTime } from "./support/processor-time.ts";
import type { Turn } from "./support/turns.ts";

/** What this process says: that it wants a file, and what came of the one before. */
export interface Asked {
  readonly result: FileResult | null;
}

/** What its parent answers: the next file, or that there is none. */
export interface Answered {
  readonly file: string | null;
}

if (!process.send) throw new Error("run-node.ts is started by run.ts");
const send = process.send.bind(process);
globalThis.testTurn = JSON.parse(process.argv[2] ?? "") as Turn;
if (process.argv[3] === "--times") {
  const processor = new ProcessorTime(process.pid);
  measureTests(() => processor.lap());
}

const write = process.stdout.write.bind(process.stdout) as (...args: unknown[]) => boolean;
process.stdout.write = (text: string | Uint8Array, ...rest: unknown[]) =>
  (typeof text === "string" && isUvuMark(text)) || write(text, ...rest);

/** Hands over a result, and returns the file to run next. */
function next(result: FileResult | null): Promise<string | null> {
  return new Promise((resolve, reject) => {
    process.once("message", (answer) => resolve((answer as Answered).file));
    send({ result } satisfies Asked, (error: Error | null) => {
      if (error) reject(error);
    });
  });
}

for (let file = await next(null); file !== null; ) {
  const path = pathToFileURL(join(root, file)).href;
  file = await next(await runFile(file, () => import(path)));
}
// The GPU's objects that tests share would keep the process alive.
process.exit(0);
