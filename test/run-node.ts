/** Runs the test files named on its command line in this process, and sends each result to its parent. */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { root } from "./run-files.ts";
import { isUvuMark, runFile } from "./run-suite.ts";

if (!process.send) throw new Error("run-node.ts is started by run.ts");
const send = process.send.bind(process);

const write = process.stdout.write.bind(process.stdout) as (...args: unknown[]) => boolean;
process.stdout.write = (text: string | Uint8Array, ...rest: unknown[]) =>
  (typeof text === "string" && isUvuMark(text)) || write(text, ...rest);

for (const file of process.argv.slice(2)) {
  const result = await runFile(file, () => import(pathToFileURL(join(root, file)).href));
  await new Promise<void>((resolve, reject) => {
    send(result, (error: Error | null) => (error ? reject(error) : resolve()));
  });
}
// The GPU's objects that tests share would keep the process alive.
process.exit(0);
