/** What a server's answer holds: the range that was asked for, or a file as a whole. */
import { endsEarly, tooLarge } from "./source.ts";
import { type FileResponse, TransientFailure } from "./url-fetch.ts";

/** Does a Content-Range header answer a request for bytes from `begin` of a file of `size` bytes? */
export function isRange(header: string, begin: number, size: number): boolean {
  const [, first, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(header) ?? [];
  return Number(first) === begin && (total === "*" || Number(total) === size);
}

/** What a body may have whose length nobody says: a compressed one may unpack to anything. */
const MOST_UNANNOUNCED = 100_000_000;

/** Bytes of such a body that are kept together. */
const PIECE_BYTES = 1 << 20;

/** The whole body. */
export async function readWhole(
  response: FileResponse,
  where: string,
  maxBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const { body, length } = response;
  if (length === null) return readUnannounced(response, where, Math.min(maxBytes, MOST_UNANNOUNCED));
  if (length > maxBytes) throw tooLarge(where, length, maxBytes);
  const bytes = new Uint8Array(length);
  const filled = await body.fill(bytes);
  if (filled < length) throw new TransientFailure(endsEarly(where, filled, length));
  await body.finish();
  return bytes;
}

async function readUnannounced(
  { body }: FileResponse,
  where: string,
  maxBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const pieces: Uint8Array[] = [];
  let filled = 0;
  for (let isMore = true; isMore; ) {
    const piece = new Uint8Array(PIECE_BYTES);
    const count = await body.fill(piece);
    pieces.push(piece.subarray(0, count));
    filled += count;
    isMore = count === PIECE_BYTES;
    if (filled > maxBytes) {
      await body.cancel();
      throw tooLarge(where, null, maxBytes);
    }
  }
  return joined(pieces, filled);
}

/** Pieces that came one after another, as one. @param length of all */
export function joined(pieces: readonly Uint8Array[], length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}
