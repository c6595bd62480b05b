/** What a server's answer holds: the range that was asked for, or a file as a whole. */
import { endsEarly, tooLarge } from "./source.ts";
import { type FileResponse, TransientFailure } from "./url-fetch.ts";

/** Does a Content-Range header answer a request for bytes from `begin` of a file of `size` bytes? */
export function isRange(header: string, begin: number, size: number): boolean {
  const [, first, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(header) ?? [];
  return Number(first) === begin && (total === "*" || Number(total) === size);
}

/** The whole body; the buffer grows if the length is not announced. */
export async function readWhole(
  response: FileResponse,
  where: string,
  maxBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const { body, length } = response;
  if (length !== null && length > maxBytes) throw tooLarge(where, length, maxBytes);
  let bytes = new Uint8Array(length ?? 1 << 16);
  let filled = await body.fill(bytes);
  while (length === null && filled === bytes.length) {
    if (filled > maxBytes) throw tooLarge(where, null, maxBytes);
    const larger = new Uint8Array(filled * 2);
    larger.set(bytes);
    bytes = larger;
    filled += await body.fill(bytes.subarray(filled));
  }
  if (filled > maxBytes) throw tooLarge(where, null, maxBytes);
  if (length !== null && filled < length) throw new TransientFailure(endsEarly(where, filled, length));
  await body.finish();
  return filled === bytes.length ? bytes : bytes.slice(0, filled);
}
