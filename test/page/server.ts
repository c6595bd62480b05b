/** A static file server on this machine, for pages under test. It answers single byte ranges, as weights need. */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize, sep } from "node:path";

const contentTypes: Readonly<Record<string, string>> = {
  ".css": "text/css",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".json": "application/json",
  ".map": "application/json",
  ".mjs": "text/javascript",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
  ".wasm": "application/wasm",
  ".webmanifest": "application/manifest+json",
};

export interface ServedFiles {
  /** Folders by the URL path they appear under, e.g. `/weights/`; the longest prefix that fits serves a request. */
  readonly folders?: Readonly<Record<string, string>>;
  /** Contents by URL path. They win over folders. */
  readonly files?: ReadonlyMap<string, string | Uint8Array>;
  /** Takes what a page posts, as text, to whatever path, and returns the answer. Without it nothing can be posted. */
  readonly onPost?: (text: string) => string;
}

export interface Server {
  /** `http://127.0.0.1:PORT` */
  readonly origin: string;
  close(): Promise<void>;
}

/** Serves until closed, on a free port of the loopback interface. */
export async function serve(served: ServedFiles): Promise<Server> {
  const server = createServer((request, response) => {
    answer(served, request, response).catch((error: unknown) => response.destroy(error as Error));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(served: ServedFiles, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = decodeURIComponent(new URL(request.url ?? "/", "http://localhost").pathname);
  response.setHeader(
    "content-type",
    contentTypes[extname(path.replace(/\/$/, "/index.html"))] ?? "application/octet-stream",
  );
  response.setHeader("cache-control", "no-store");
  // Isolation gives the page timers of 5 µs instead of 100 µs.
  response.setHeader("cross-origin-opener-policy", "same-origin");
  response.setHeader("cross-origin-embedder-policy", "require-corp");

  if (request.method === "POST" && served.onPost) {
    response.end(served.onPost(await textOf(request)));
    return;
  }
  const contents = served.files?.get(path);
  if (contents !== undefined) {
    response.end(contents);
    return;
  }
  const file = locate(served.folders ?? {}, path);
  const size = file === undefined ? undefined : await sizeOf(file);
  if (file === undefined || size === undefined) {
    response.writeHead(404, { "content-type": "text/plain" }).end(`${path} is not served\n`);
    return;
  }
  response.setHeader("accept-ranges", "bytes");
  const range = request.headers.range === undefined ? undefined : parseRange(request.headers.range, size);
  if (range === "unsatisfiable") {
    response.writeHead(416, { "content-range": `bytes */${size}` }).end();
    return;
  }
  const { first, last } = range ?? { first: 0, last: size - 1 };
  response.setHeader("content-length", last - first + 1);
  if (range) response.writeHead(206, { "content-range": `bytes ${first}-${last}/${size}` });
  if (request.method === "HEAD" || size === 0) response.end();
  else
    createReadStream(file, { start: first, end: last })
      .on("error", (error) => response.destroy(error))
      .pipe(response);
}

async function textOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}

/** The file that a URL path means, whether or not it exists; undefined outside the served folders. */
function locate(folders: Readonly<Record<string, string>>, path: string): string | undefined {
  const prefix = Object.keys(folders)
    .filter((candidate) => path.startsWith(candidate))
    .sort((a, b) => b.length - a.length)[0];
  const folder = prefix === undefined ? undefined : folders[prefix];
  if (prefix === undefined || folder === undefined) return undefined;
  const rest = path.slice(prefix.length);
  const file = normalize(join(folder, rest === "" || rest.endsWith("/") ? `${rest}index.html` : rest));
  return file.startsWith(normalize(folder + sep)) ? file : undefined;
}

async function sizeOf(file: string): Promise<number | undefined> {
  try {
    const found = await stat(file);
    return found.isFile() ? found.size : undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
}

/** `bytes=a-b`, `bytes=a-` or `bytes=-n`, both ends inclusive. Several ranges at once are answered with the whole. */
function parseRange(header: string, size: number): { first: number; last: number } | "unsatisfiable" | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header);
  if (!match || (match[1] === "" && match[2] === "")) return undefined;
  const [, from = "", to = ""] = match;
  const first = from === "" ? Math.max(0, size - Number(to)) : Number(from);
  const last = from === "" || to === "" ? size - 1 : Math.min(Number(to), size - 1);
  return first > last || first >= size ? "unsatisfiable" : { first, last };
}
