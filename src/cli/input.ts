/** Standard input as text: all of it, or line by line. The wait ends when the signal fires. */

import { SluiceError, throwIfAborted } from "../errors.ts";
import type { InputStream } from "./streams.ts";

/**
 * Everything up to the end of the input.
 * @throws SluiceError `bad_file` if it is not UTF-8, `not_found` if it cannot be read, `aborted`
 */
export async function readAll(stdin: InputStream, signal: AbortSignal): Promise<string> {
  let content = "";
  for await (const piece of pieces(stdin, signal)) content += piece;
  return content;
}

/** Lines as they come, without their ends; the last one may have none. Throws as {@link readAll}. */
export async function* readLines(stdin: InputStream, signal: AbortSignal): AsyncGenerator<string> {
  let rest = "";
  for await (const piece of pieces(stdin, signal)) {
    const lines = (rest + piece).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) yield line.replace(/\r$/, "");
  }
  if (rest !== "") yield rest;
}

async function* pieces(stdin: InputStream, signal: AbortSignal): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const chunks = stdin[Symbol.asyncIterator]();
  // A read cannot be stopped, but waiting for it can.
  const aborted = new Promise<null>((resolve) => {
    if (signal.aborted) resolve(null);
    else signal.addEventListener("abort", () => resolve(null), { once: true });
  });
  for (;;) {
    const next = await Promise.race([chunks.next().catch(refuseUnreadable), aborted]);
    throwIfAborted(signal);
    if (!next || next.done) break;
    yield typeof next.value === "string" ? next.value : decode(decoder, next.value);
  }
  yield decode(decoder);
}

function decode(decoder: TextDecoder, chunk?: Uint8Array): string {
  try {
    return decoder.decode(chunk, { stream: chunk !== undefined });
  } catch (cause) {
    throw new SluiceError("bad_file", "standard input is not UTF-8 text", { cause });
  }
}

function refuseUnreadable(cause: Error): never {
  throw new SluiceError("not_found", `standard input cannot be read: ${cause.message}`, { cause });
}
