/** The command line of the programs in this folder. The comment that a program begins with is its help. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type ParseArgsConfig, parseArgs } from "node:util";

/**
 * The options of a program; `--help` prints its help and ends the process, and what it does not take ends it with 2.
 * @param program its `import.meta.url`
 */
export function readOptions<const T extends ParseArgsConfig>(
  program: string,
  config: T,
): ReturnType<typeof parseArgs<T>> {
  if (process.argv.includes("--help")) {
    const [, comment = ""] = /^\/\*\*([\s\S]*?)\*\//.exec(readFileSync(fileURLToPath(program), "utf8")) ?? [];
    console.log(comment.replace(/^ \* ?/gm, "").trim());
    process.exit(0);
  }
  try {
    return parseArgs(config);
  } catch (error) {
    return usageError((error as Error).message);
  }
}

/** Ends the process with what is wrong with its options. */
export function usageError(message: string): never {
  console.error(`${message}\n--help says what there is.`);
  process.exit(2);
}

/** An option's whole number. */
export function wholeNumber(name: string, text: string, least = 0): number {
  if (/^\d{1,9}$/.test(text) && Number(text) >= least) return Number(text);
  return usageError(`--${name} is ${text}; it must be a whole number from ${least} to 999,999,999`);
}
