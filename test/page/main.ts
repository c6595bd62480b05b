/** Runs test files inside a page, and sends each result to the process that opened it. */
import { type FileResult, isUvuMark, runFile } from "../run-suite.ts";

declare global {
  /** Provided by the process that opened the page. */
  function sendResult(result: FileResult): Promise<void>;
}

/** Runs the files in order. @param files what imports each, by its path in the repository */
export async function runInPage(files: Readonly<Record<string, () => Promise<unknown>>>): Promise<void> {
  const log = console.log;
  console.log = (...values: unknown[]) => {
    if (!(typeof values[0] === "string" && isUvuMark(values[0]))) log(...values);
  };
  for (const [file, load] of Object.entries(files)) await sendResult(await runFile(file, load));
}
