/**
 * Runs a module in a process of process.ts, from a shell: `node command.js ADDRESS MODULE [ARGUMENTS]`. Arguments, folder,
 * environment, stdin, stdout, stderr and the exit code are those of this process.
 */
import { ask } from "./ask.ts";

const [address = "", module = "", ...args] = process.argv.slice(2);
// A reader who has seen enough, such as `head`: the program hears of it by the end of its connection.
process.stdout.on("error", () => process.exit(0));
const exit = await ask(
  address,
  { module, args, cwd: process.cwd(), env: process.env },
  {
    stdin: process.stdin,
    stdout: (bytes) => process.stdout.write(bytes),
    stderr: (bytes) => process.stderr.write(bytes),
  },
);
if (exit === null) console.error(`the process that ran ${module} ended before it`);
process.exitCode = exit ?? 1;
// What it has not read would keep this process waiting.
process.stdin.destroy();
