/** An answer of a server with OpenAI's interface, as it comes. */
import { SluiceError } from "../../errors.ts";
import { ByteStream } from "../../formats/byte-stream.ts";
import { Deadline, type Lateness, tooSlow } from "../../formats/deadline.ts";
import { show, showSentence } from "../../show.ts";
import { isObject } from "../../tokenizer/json.ts";

export interface ServerQuestion {
  readonly server: string;
  readonly key: string | undefined;
  /** A request to `/v1/chat/completions` that streams. */
  readonly body: object;
  readonly signal: AbortSignal;
}

/** How long a server may say nothing: before its first token it reads the whole conversation, perhaps on a slow machine. */
const PATIENCE_MS = 120_000;
/** Characters of a line; one holds a token or a few. */
const LONGEST_LINE = 1 << 20;
/** Bytes that are read of an error. */
const LONGEST_ERROR = 1 << 16;

/**
 * @throws SluiceError `not_found` if the server cannot be reached or says nothing, `bad_file` if it answers with something
 *   else than such a stream, `usage` for what it refuses, `aborted`
 */
export async function* streamAnswer(
  { server, key, body, signal }: ServerQuestion,
  patienceMs = PATIENCE_MS,
): AsyncGenerator<string, void> {
  const address = `${server.replace(/\/+$/, "").replace(/\/v1$/, "")}/v1/chat/completions`;
  const headers = { "Content-Type": "application/json", ...(key !== undefined && { Authorization: `Bearer ${key}` }) };
  const deadline = new Deadline(signal, (cause, late) => unreachable(server, cause, late));
  const response = await deadline.run(patienceMs, (stop) =>
    fetch(address, { method: "POST", headers, body: JSON.stringify(body), signal: stop }),
  );
  // A server that thinks may send a few bytes now and then, to say that it lives.
  const stream = new ByteStream(response.body, deadline, patienceMs, 1);
  try {
    if (!response.ok) throw await refusalOf(response.status, stream);
    for await (const line of linesOf(stream, server)) {
      const data = line.startsWith("data:") ? line.slice(5).trim() : "";
      if (data === "[DONE]") return;
      if (data !== "") yield textOf(data, server);
    }
  } finally {
    await stream.cancel();
  }
}

async function* linesOf(stream: ByteStream, server: string): AsyncGenerator<string, void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const piece of stream.pieces()) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > LONGEST_LINE) throw noStream(server, `a line of more than ${LONGEST_LINE} characters`);
    yield* lines;
  }
}

function unreachable(server: string, cause: unknown, late: Lateness | null): SluiceError {
  if (late !== null) {
    return new SluiceError("not_found", `${server}: ${tooSlow(late)}`, {
      hint: "It may be busy, or hang: look at what it prints.",
      cause,
    });
  }
  return new SluiceError("not_found", `${server} cannot be reached: ${(cause as Error).message}`, {
    hint: "Start it with `sluice serve MODEL`.",
    cause,
  });
}

function noStream(server: string, what: string): SluiceError {
  return new SluiceError("bad_file", `${server} answers with ${what}, which is not a stream of a conversation`, {
    hint: "Check the address: it must be of a server with OpenAI's interface.",
  });
}

function textOf(data: string, server: string): string {
  const chunk = readJson(data);
  if (!isObject(chunk)) throw noStream(server, show(data));
  if (chunk.error !== undefined && chunk.error !== null) {
    throw new SluiceError("usage", `The server stopped: ${errorIn(chunk) ?? show(chunk.error)}`);
  }
  const choice: unknown = Array.isArray(chunk.choices) ? chunk.choices[0] : undefined;
  const delta = isObject(choice) ? choice.delta : undefined;
  const content = isObject(delta) ? (delta.content ?? "") : "";
  if (typeof content !== "string") throw noStream(server, `the content ${show(content)}`);
  return content;
}

async function refusalOf(status: number, stream: ByteStream): Promise<SluiceError> {
  const bytes = new Uint8Array(LONGEST_ERROR);
  const text = new TextDecoder().decode(bytes.subarray(0, await stream.fill(bytes)));
  // Not every proxy answers in JSON: its text is shown as it is.
  return new SluiceError(
    "usage",
    `The server refuses (${status}): ${errorIn(readJson(text)) ?? showSentence(text, 500)}`,
  );
}

/** The sentence of an answer that is an error. */
function errorIn(answer: unknown): string | undefined {
  const error = isObject(answer) ? answer.error : undefined;
  return isObject(error) && typeof error.message === "string" ? showSentence(error.message, 500) : undefined;
}

/** Undefined for what is not JSON. */
function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
