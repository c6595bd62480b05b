/** Runs test files inside a page: asks the process that opened it for one after the other, and sends it each result. */
import { type FileResult, isUvuMark, measureTests, runFile } from "../run-suite.ts";

declare global {
  /** Provided by the process that opened the page. */
  function sendResult(result: FileResult): Promise<void>;
  /** The file to run next, or null; provided likewise. */
  function nextFile(): Promise<string | null>;
}

/** Runs files until none is left. @param files what imports each, by its path in the repository */
export async function runInPage(
  files: Readonly<Record<string, () => Promise<unknown>>>,
  { times = false }: { times?: boolean } = {},
): Promise<void> {
  if (times) measureTests();
  const log = console.log;
  console.log = (...values: unknown[]) => {
    if (!(typeof values[0] === "string" && isUvuMark(values[0]))) log(...values);
  };
  for (let file = await nextFile(); file !== null; file = await nextFile()) {
    const load = files[file];
    if (!load) throw new Error(`${file} is not in the bundle of this page`);
    await sendResult(await runFile(file, load));
  }
}
