/** Runs uvu test files one at a time and returns what came of them. The same in Node and in a page. */
import { homeOf } from "./run-homes.ts";

export interface FileResult {
  /** Path in the repository. */
  readonly file: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly milliseconds: number;
  /** What to print of the failures: names, differences, stacks. Empty if there are none. */
  readonly report: string;
  /** How long each test took, if the run was asked for times. */
  readonly tests?: readonly TestTime[];
  /** Processor time of the file's process and its children, if the run was asked for times. */
  readonly processorSeconds?: number;
}

export interface TestTime {
  readonly name: string;
  readonly milliseconds: number;
  /** Processor time of the file's process and its children; in Node alone. */
  readonly processorSeconds?: number;
}

/** What `test.run()` of uvu leaves in its queue. A hook that throws ends the suite without an error text. */
type QueuedSuite = () => Promise<[errors: string | true, passed: number, skipped: number, total: number]>;

declare global {
  var UVU_DEFER: number | undefined;
  var UVU_QUEUE: QueuedSuite[][] | undefined;
}

// Read by uvu when it is first imported, which must be later: suites then wait in the queue for us.
globalThis.UVU_DEFER = 1;

/** The tests of the file that runs. */
let tests: TestTime[] = [];

/**
 * Measures tests from here on. uvu writes the name of the test that runs into a suite's state, an object without that
 * property if this is called before uvu is imported: a setter on the prototype then hears of each.
 * @param lap returns the processor time since its last call, in seconds
 */
export function measureTests(lap?: () => number): void {
  let current = "";
  let begun = 0;
  Object.defineProperty(Object.prototype, "__test__", {
    configurable: true,
    get: () => current,
    set: (name: string) => {
      const now = performance.now();
      const processor = lap && { processorSeconds: lap() };
      if (current !== "") tests.push({ name: current, milliseconds: now - begun, ...processor });
      current = name;
      begun = now;
    },
  });
}

/**
 * Loads a test file and runs the suites that it queues. Whatever keeps tests from running counts as a failure: a file
 * that does not load, that queues nothing, or whose hooks throw.
 */
export async function runFile(file: string, load: () => Promise<unknown>): Promise<FileResult> {
  const queue: QueuedSuite[] = [];
  const turn = globalThis.testTurn;
  // With whom would it share its sweeps?
  if (homeOf(file) !== undefined) globalThis.testTurn = undefined;
  globalThis.UVU_QUEUE = [queue];
  tests = [];
  const started = performance.now();
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const reports: string[] = [];
  const fail = (report: string, count = 1) => {
    counts.failed += count;
    reports.push(report);
  };

  try {
    await load();
    if (queue.length === 0) fail("  The file queued no tests: is test.run() missing at its end?\n");
    for (const suite of queue) {
      const [errors, passed, skipped, total] = await suite();
      counts.passed += passed;
      counts.skipped += skipped;
      if (total + skipped === 0) fail("  A suite has no tests.\n");
      else if (errors !== true) fail(errors, total - passed);
      else if (passed < total) fail("  A before or after-each hook threw (uvu does not say what).\n", total - passed);
    }
  } catch (error) {
    fail(`  ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  } finally {
    globalThis.testTurn = turn;
  }
  const milliseconds = performance.now() - started;
  return { file, ...counts, milliseconds, report: reports.join("\n"), ...(tests.length > 0 && { tests }) };
}

/** Whether a text that goes to the console is one of uvu's own marks: suite names, dots, counts. */
export function isUvuMark(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are control sequences
  return /^(?:[•✘] | .* | {2}\(\d+ \/ \d+\)\n)$/.test(text.replace(/\u001b\[\d+m/g, ""));
}
