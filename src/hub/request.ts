/** One request to a hub: deadlines, redirects that never carry the token elsewhere, and a body that can be read in pieces. */
import { SluiceError } from "../errors.ts";
import { Deadline, type Lateness, tooSlow } from "../formats/deadline.ts";
import { PacedReader } from "../formats/paced-reader.ts";
import { alive } from "../resources.ts";
import { type Asking, BusyServer, htmlInstead, refusalOf } from "./errors.ts";

/** How a hub is reached. */
export interface HubAccess {
  /** Its address without a slash at the end, such as `https://huggingface.co`. */
  readonly endpoint: string;
  /** Sent to the endpoint's own origin only. */
  readonly token: string | null;
  /**
   * `seen`: redirects are followed here, so that their headers are seen (Node). `hidden`: fetch follows them and drops
   * the token at another origin, as its standard says (pages).
   */
  readonly redirects: "seen" | "hidden";
  /** Milliseconds until an answer must have begun. */
  readonly firstByteMs: number;
  /** Milliseconds that a body may pause. */
  readonly stallMs: number;
  /** Pauses before the second, third, … attempt, counted anew after each progress. */
  readonly retryDelaysMs: readonly number[];
}

export interface HubRequest {
  readonly repo: string;
  /** What is asked for, for messages. */
  readonly where: string;
  readonly method?: "GET" | "HEAD" | "POST";
  /** Sent as JSON. */
  readonly json?: unknown;
  /** The first byte that is wanted. */
  readonly begin?: number;
  /** Whether an answer in HTML can be what was asked for. */
  readonly takesHtml?: boolean;
}

const MAX_REDIRECTS = 10;

export class HubResponse {
  readonly status: number;
  /** Headers of the answer that has the body. */
  readonly headers: Headers;
  /** Headers of the hub's own last answer, those of a redirect to another host included; none if they are hidden. */
  readonly hubHeaders: Headers;
  /** Whether the hub's own last answer was a redirect. */
  readonly isElsewhere: boolean;
  readonly #deadline: Deadline;
  readonly #body: ReadableStream<Uint8Array> | null;
  #isOpen: boolean;

  constructor(response: Response, hub: { headers: Headers; isElsewhere: boolean }, deadline: Deadline) {
    this.status = response.status;
    this.headers = response.headers;
    this.hubHeaders = hub.headers;
    this.isElsewhere = hub.isElsewhere;
    this.#body = response.body;
    this.#deadline = deadline;
    this.#isOpen = response.body !== null;
    if (this.#isOpen) alive.take("files");
  }

  /** The body, piece by piece. Leaving the loop early drops the connection. @throws BusyServer if the connection fails */
  async *chunks(stallMs: number): AsyncGenerator<Uint8Array> {
    const reader = this.#body ? new PacedReader(this.#body, this.#deadline, stallMs) : undefined;
    try {
      for (let next = await reader?.read(); next; next = await reader?.read()) yield next;
    } finally {
      await reader?.cancel();
      this.#end();
    }
  }

  /** Drops the body and its connection. */
  async cancel(): Promise<void> {
    await this.#body?.cancel().catch(() => undefined);
    this.#end();
  }

  #end(): void {
    this.#deadline.end();
    if (this.#isOpen) alive.giveBack("files");
    this.#isOpen = false;
  }
}

/**
 * @returns a success, whose body the caller reads or cancels; for HEAD also the hub's redirect to another host
 * @throws HubError; BusyServer for what another attempt may repair; SluiceError `aborted`
 */
export async function requestHub(
  access: HubAccess,
  address: string,
  request: HubRequest,
  signal: AbortSignal | undefined,
): Promise<HubResponse> {
  const { endpoint, token, redirects, firstByteMs } = access;
  const { method = "GET", json } = request;
  const home = new URL(endpoint).origin;
  let url: URL = new URL(address);
  /** The hub's own last answer, once it has sent us to another host. */
  let left: Headers | null = null;
  for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
    const deadline = deadlineOf(request.where, signal);
    const isHome: boolean = left === null && url.origin === home;
    const response: Response = await deadline.run(firstByteMs, (stop) =>
      fetch(url, {
        method,
        headers: headersFor(request, isHome ? token : null),
        redirect: redirects === "seen" ? "manual" : "follow",
        // What is kept is kept by the store alone, and a branch may have moved.
        cache: "no-store",
        signal: stop,
        ...(json !== undefined && { body: JSON.stringify(json) }),
      }),
    );
    const target = redirects === "seen" ? targetOf(response, url) : null;
    if (!target) {
      const isElsewhere = left !== null || (response.redirected && new URL(response.url).origin !== home);
      // Of a redirect that fetch followed, only the other host's headers are seen.
      const hubHeaders = left ?? (isElsewhere ? new Headers() : response.headers);
      const answer = new HubResponse(response, { headers: hubHeaders, isElsewhere }, deadline);
      await check(answer, { endpoint, repo: request.repo, hasToken: token !== null }, request, url.host);
      return answer;
    }
    const leaves = left === null && target.origin !== home;
    const answer = new HubResponse(response, { headers: response.headers, isElsewhere: leaves }, deadline);
    await answer.cancel();
    if (leaves && method === "HEAD") return answer;
    if (leaves) left = response.headers;
    url = target;
  }
  throw new SluiceError("not_found", `${request.where}: the server redirects more than ${MAX_REDIRECTS} times`, {
    hint: "Check HF_ENDPOINT.",
  });
}

/** Refuses an answer that is not what was asked for. */
async function check(
  answer: HubResponse,
  asking: Asking,
  { where, takesHtml = false, begin = 0 }: HubRequest,
  host: string,
): Promise<void> {
  const { status, headers, isElsewhere } = answer;
  const isSuccess = status >= 200 && status < 300;
  // A range behind the end of a file is answered with 416 and the file's length.
  if (status === 416 && begin > 0) return;
  if (isSuccess && (takesHtml || !isHtml(headers))) return;
  await answer.cancel();
  if (isSuccess) throw htmlInstead(asking.endpoint, where);
  // The address that the hub gave for another host holds for minutes: the next attempt gets a new one.
  if (isElsewhere) {
    const hint = `The hub's files are there. Try again, and check that the network lets ${host} through.`;
    throw new BusyServer(new SluiceError("not_found", `${where}: ${host} answered ${status}`, { hint }));
  }
  throw refusalOf(asking, where, status, headers);
}

function headersFor({ begin = 0, json }: HubRequest, token: string | null): Record<string, string> {
  return {
    ...(token !== null && { Authorization: `Bearer ${token}` }),
    ...(begin > 0 && { Range: `bytes=${begin}-` }),
    ...(json !== undefined && { "Content-Type": "application/json" }),
    // Lengths and ranges are those of the file itself. Pages may not set it, and need not: it is dropped there.
    "Accept-Encoding": "identity",
  };
}

/** Where a redirect leads. */
function targetOf({ status, headers }: Response, from: URL): URL | null {
  const location = headers.get("location");
  if (![301, 302, 303, 307, 308].includes(status) || location === null) return null;
  const target = URL.canParse(location, from) ? new URL(location, from) : null;
  return target?.protocol === "http:" || target?.protocol === "https:" ? target : null;
}

function isHtml(headers: Headers): boolean {
  return headers.get("content-type")?.trim().toLowerCase().startsWith("text/html") ?? false;
}

/** Ends what takes too long, and what is aborted. @throws (by `run`) BusyServer, SluiceError `aborted` */
function deadlineOf(where: string, signal: AbortSignal | undefined): Deadline {
  return new Deadline(
    signal,
    (cause, late) => new BusyServer(late === null ? lost(where, cause) : tooLate(where, late, cause)),
  );
}

function tooLate(where: string, late: Lateness, cause: unknown): SluiceError {
  return new SluiceError("not_found", `${where}: ${tooSlow(late)}`, {
    hint: "Check the network and try again: what has come is kept.",
    cause,
  });
}

function lost(where: string, cause: unknown): SluiceError {
  // Node's fetch says only "fetch failed" and hides the reason in its cause.
  const inner = ((cause as Error).cause ?? cause) as { message?: string; code?: string };
  return new SluiceError("not_found", `${where} could not be fetched: ${inner.message || inner.code || cause}`, {
    hint: "Check the network and HF_ENDPOINT. What is in the cache works without a network.",
    cause,
  });
}
