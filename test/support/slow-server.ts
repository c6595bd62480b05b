/** A web server that takes its time: each answer comes late, and all together come at a limited rate. */
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface SlowServer {
  readonly origin: string;
  close(): void;
}

export interface Slowness {
  /** Milliseconds before an answer begins. */
  readonly delayMs: number;
  /** Of all answers together. */
  readonly bytesPerSecond: number;
}

/** Bytes sent at a time. */
const PIECE = 64 << 10;

/** Serves files by ranges, to pages of any origin. @param files contents by URL path */
export async function serveSlowly(files: ReadonlyMap<string, Uint8Array>, slowness: Slowness): Promise<SlowServer> {
  /** When what has been sent is through the line. */
  let free = 0;
  const send = async (response: ServerResponse, body: Uint8Array): Promise<void> => {
    for (let at = 0; at < body.length && !response.destroyed; at += PIECE) {
      const piece = body.subarray(at, at + PIECE);
      const now = performance.now();
      free = Math.max(free, now) + (1000 * piece.length) / slowness.bytesPerSecond;
      if (free - now > 2) await pause(free - now);
      response.write(piece);
    }
    response.end();
  };
  const server = createServer(async (request, response) => {
    await pause(slowness.delayMs);
    response.setHeader("Access-Control-Allow-Origin", "*");
    const file = files.get(decodeURIComponent(new URL(request.url ?? "", "http://localhost").pathname));
    if (!file) return response.writeHead(404).end();
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
    const body = first === undefined ? file : file.subarray(Number(first), Number(last) + 1);
    if (first !== undefined) {
      response.statusCode = 206;
      response.setHeader("Access-Control-Expose-Headers", "Content-Range");
      response.setHeader("Content-Range", `bytes ${first}-${Number(first) + body.length - 1}/${file.length}`);
    }
    response.setHeader("Content-Length", body.length);
    await send(response, body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
