/** One HTTP request for a file, with four outcomes: found, missing, refused, or worth another attempt. */
import { SluiceError, throwIfAborted } from "../errors.ts";
import { onAbort } from "../on-abort.ts";
import { ByteStream } from "./byte-stream.ts";
import { Deadline, type Lateness, tooSlow } from "./deadline.ts";

export interface FileRequest {
  readonly method?: "GET" | "HEAD";
  /** Bytes [begin, end) to request. */
  readonly range?: readonly [begin: number, end: number];
}

export interface FileResponse {
  /** Whether the server sends only the requested range; otherwise the body is the whole file. */
  readonly partial: boolean;
  /** Bytes of the body, if the server reports them and has not compressed it. */
  readonly length: number | null;
  /** The Content-Range header, which across origins only some servers let a page see. */
  readonly contentRange: string | null;
  /** What tells this content of the file from another of the same length. */
  readonly version: FileVersion;
  readonly body: ByteStream;
}

/** ETag and Last-Modified, null where the server sends none or a page may not see it. */
export interface FileVersion {
  readonly etag: string | null;
  readonly modified: string | null;
}

/** Whether two answers can be of one content: by their ETags, otherwise by their times; unknown counts as the same. */
export function isSameVersion(a: FileVersion, b: FileVersion): boolean {
  if (a.etag !== null && b.etag !== null) return a.etag === b.etag;
  return a.modified === null || b.modified === null || a.modified === b.modified;
}

/** A failure that another attempt may repair; `report` is thrown if none did. */
export class TransientFailure extends Error {
  readonly report: SluiceError;
  /** Milliseconds to wait at least. */
  readonly afterMs: number;

  constructor(report: SluiceError, afterMs = 0) {
    super(report.message, { cause: report });
    this.report = report;
    this.afterMs = afterMs;
  }
}

/** A server that says nothing. */
export class SilentServer extends TransientFailure {}

/** The server does not give this file, for whatever reason: there may be none. Buckets answer 403 for what is not there. */
export class WithheldFile extends SluiceError {}

/** Timeout, too many requests, and a server or gateway in trouble. */
const BUSY: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504]);

/**
 * How long a server may say nothing, before and within its answer. A page has few connections to a server, and a request
 * may wait for one, so it is longer than that of a hub.
 */
const PATIENCE_MS = 20_000;

/**
 * @param where names the file in errors
 * @returns null for a file that does not exist
 * @throws {TransientFailure} without a connection, from a busy server, and from the body when the connection is lost
 * @throws `not_found` for any other refusal, `aborted`
 */
export async function fetchFile(
  url: URL,
  where: string,
  request: FileRequest,
  signal: AbortSignal | undefined,
  patienceMs = PATIENCE_MS,
): Promise<FileResponse | null> {
  const deadline = new Deadline(signal, (cause, late) =>
    late === null ? lostConnection(where, cause) : silentServer(where, cause, late),
  );
  const response = await deadline.run(patienceMs, (stop) =>
    fetch(url, {
      method: request.method ?? "GET",
      headers: request.range ? { Range: `bytes=${request.range[0]}-${request.range[1] - 1}` } : {},
      signal: stop,
    }),
  );
  const body = new ByteStream(response.body, deadline, patienceMs);
  const { status, headers } = response;
  const contentRange = headers.get("content-range");
  // 416 with "bytes */LENGTH" is how a range beyond the file is answered, and thus any range of an empty one.
  const partial = status === 206 || status === 416;
  if (response.ok ? !isFallbackPage(headers) : status === 416 && contentRange !== null) {
    // The parts of such a body have headers of their own, and nothing asked for several.
    const isMixed = headers.get("content-type")?.startsWith("multipart/") ?? false;
    if (partial && (isMixed || !request.range)) {
      await body.cancel();
      throw new SluiceError("bad_file", `${where}: the server answered with a part that nobody asked for`, {
        hint: "The server's ranges are wrong: use another one.",
      });
    }
    return { partial, length: lengthOf(headers), contentRange, version: versionOf(headers), body };
  }
  await body.cancel();
  throwIfAborted(signal);
  if (response.ok || status === 404 || status === 410) return null;
  throw refusal(where, status, response.statusText);
}

export interface RetryOptions {
  /** Whether another attempt is pointless after this failure of attempt 0, 1, … */
  isHopeless?(failure: TransientFailure, attempt: number): boolean;
  /** Told of each failure after which there is another attempt. */
  onRetry?(failure: TransientFailure, attempt: number): void;
}

/**
 * Repeats `task` until it succeeds or fails permanently, pausing after each {@link TransientFailure}.
 * @param delaysMs the pauses; there is one attempt more than pauses
 * @throws the last failure's report, or any other error of the task
 */
export async function retrying<T>(
  delaysMs: readonly number[],
  signal: AbortSignal | undefined,
  task: () => Promise<T>,
  { isHopeless = () => false, onRetry = () => undefined }: RetryOptions = {},
): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await task();
    } catch (error) {
      if (!(error instanceof TransientFailure)) throw error;
      const delay = delaysMs[attempt];
      if (delay === undefined || isHopeless(error, attempt)) throw error.report;
      onRetry(error, attempt);
      await pause(Math.max(delay, error.afterMs), signal);
    }
  }
}

/** Waits. @throws SluiceError `aborted` */
export function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const wake = () => {
      clearTimeout(timer);
      forget();
      try {
        resolve(throwIfAborted(signal));
      } catch (error) {
        reject(error);
      }
    };
    const timer = setTimeout(wake, ms);
    const forget = onAbort(signal, wake);
  });
}

/** Servers mark the ETag of a body that they compress, or call it weak: the content is the same. */
function versionOf(headers: Headers): FileVersion {
  const etag = headers
    .get("etag")
    ?.replace(/^W\//, "")
    .replace(/[-;](?:gzip|br|zstd|deflate)"$/, '"');
  return { etag: etag ?? null, modified: headers.get("last-modified") };
}

/** Servers of one-page applications answer every unknown path with that page and status 200. */
function isFallbackPage(headers: Headers): boolean {
  return headers.get("content-type")?.startsWith("text/html") ?? false;
}

function lengthOf(headers: Headers): number | null {
  const length = headers.get("content-length");
  // The length of a compressed answer is not that of the file.
  const encoded = (headers.get("content-encoding") ?? "identity") !== "identity";
  return length !== null && /^\d+$/.test(length) && !encoded ? Number(length) : null;
}

function silentServer(where: string, cause: unknown, late: Lateness): SilentServer {
  return new SilentServer(
    new SluiceError("not_found", `${where}: ${tooSlow(late)}`, {
      hint: "Check the address and the network, and try again.",
      cause,
    }),
  );
}

function lostConnection(where: string, cause: unknown): Error {
  // Node's fetch says only "fetch failed" and hides the reason in its cause.
  const inner = (cause as Error).cause ?? cause;
  // Browsers give no reason: an answer that the page may not see looks like this too.
  const Kind = inner === cause ? WithheldFile : SluiceError;
  return new TransientFailure(
    new Kind("not_found", `${where} could not be fetched: ${(inner as Error).message || cause}`, {
      hint: "Check the address and the network. For a page, the server must also allow its origin (CORS).",
      cause,
    }),
  );
}

function refusal(where: string, status: number, statusText: string): Error {
  const answer = `${status} ${statusText}`.trim();
  if (BUSY.has(status)) {
    return new TransientFailure(
      new SluiceError("not_found", `${where}: the server answered ${answer}`, { hint: "Try again later." }),
    );
  }
  const denied = status === 401 || status === 403;
  const Kind = denied || status === 451 ? WithheldFile : SluiceError;
  return new Kind("not_found", `${where}: the server ${denied ? "refuses access" : "answered"} (${answer})`, {
    hint: denied
      ? "The file is private or gated, or its address is wrong. You can also download the model's folder and give its path."
      : "Check the address.",
  });
}
