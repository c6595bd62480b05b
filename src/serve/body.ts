/** Bodies of requests, of a size that is bounded before it is read. */
import type { Context } from "hono";
import { MAX_NESTING, nesting } from "../formats/json.ts";
import { joined } from "../formats/url-answer.ts";
import { Problem } from "./problem.ts";

/** @throws Problem 413 for more than `most` bytes, 415 for compressed ones, 400 if the sender leaves before the end, which is not a fault of the server */
export async function bytesOf(c: Context, most: number): Promise<Uint8Array> {
  const encoding = c.req.header("Content-Encoding") ?? "identity";
  if (!/^identity$/i.test(encoding.trim())) {
    throw new Problem(415, `The body must come as it is, not in ${encoding.slice(0, 40)}`, { code: "bad_encoding" });
  }
  const length = c.req.header("Content-Length");
  if (length !== undefined) {
    if (Number(length) > most) throw tooLarge(most);
    return new Uint8Array(await arrived(c.req.arrayBuffer()));
  }
  const reader = c.req.raw.body?.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const chunk = reader && (await arrived(reader.read()));
    if (!chunk?.value) break;
    size += chunk.value.byteLength;
    if (size > most) throw tooLarge(most);
    chunks.push(chunk.value);
  }
  return joined(chunks, size);
}

/** @throws Problem 413, 415, 400 for what is not JSON */
export async function jsonOf(c: Context, most: number): Promise<unknown> {
  const type = c.req.header("Content-Type") ?? "";
  // A page's form could post any other type without being asked for its origin.
  if (!/^application\/(?:[\w.+-]+\+)?json\b/i.test(type)) {
    throw new Problem(415, "The body must be JSON, with Content-Type: application/json", { code: "bad_content_type" });
  }
  return parseJson(new TextDecoder().decode(await bytesOf(c, most)), "The body");
}

/**
 * A client's JSON. Its nesting is bounded, so that whoever reads the value may recurse.
 * @param what names it in errors
 * @throws Problem 400
 */
export function parseJson(text: string, what: string, param: string | null = null): unknown {
  if (nesting(text, MAX_NESTING) > MAX_NESTING) {
    throw new Problem(400, `${what} is nested more than ${MAX_NESTING} levels deep`, { code: "bad_json", param });
  }
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new Problem(400, `${what} is not JSON: ${(cause as Error).message}`, { code: "bad_json", param });
  }
}

/** Reading a body fails only if its connection does. */
async function arrived<Part>(part: Promise<Part>): Promise<Part> {
  try {
    return await part;
  } catch {
    throw new Problem(400, "The body did not arrive in full", { code: "aborted" });
  }
}

function tooLarge(most: number): Problem {
  return new Problem(413, `The body is larger than ${most} bytes`, { code: "body_too_large" });
}
