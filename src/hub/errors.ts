/** What a hub answers when it does not answer with what was asked for. */
import { SluiceError } from "../errors.ts";
import { TransientFailure } from "../formats/url-fetch.ts";

/**
 * - `missing_file`, `missing_revision`, `missing_repository`: there is none; the last may also be private.
 * - `denied`: the licence was not accepted, the token is wrong, or it has no right to this.
 * - `unserved`: the server does not have this route, or answers it with something else than the hub does.
 */
export type HubRefusal = "missing_file" | "missing_revision" | "missing_repository" | "denied" | "unserved";

/** A refusal, with its kind. To users it is a `not_found` like any other. */
export class HubError extends SluiceError {
  readonly kind: HubRefusal;

  constructor(kind: HubRefusal, message: string, hint?: string) {
    super("not_found", message, hint === undefined ? {} : { hint });
    this.kind = kind;
  }
}

/** A failure that another attempt may repair, which the server may have said to make later. */
export class BusyServer extends TransientFailure {}

/** Whoever asks: what an error needs to know of it to say what to do. */
export interface Asking {
  readonly endpoint: string;
  readonly repo: string;
  readonly hasToken: boolean;
}

/** Timeout, too many requests, and a server or gateway in trouble. */
const BUSY: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504]);

/** Nobody is kept waiting longer for a server's `Retry-After`. */
const LONGEST_WAIT_MS = 60_000;

/**
 * The error for an answer that is neither a success nor a redirect.
 * @param where what was asked for, for the message
 */
export function refusalOf(
  { endpoint, repo, hasToken }: Asking,
  where: string,
  status: number,
  headers: Headers,
): HubError | BusyServer {
  const code = headers.get("x-error-code");
  const said = headers.get("x-error-message");
  const answer = `${status}${said ? `: ${said.slice(0, 300)}` : ""}`;
  if (BUSY.has(status)) {
    const report = new SluiceError("not_found", `${where}: ${endpoint} answered ${answer}`, {
      hint: status === 429 ? "It takes no more requests for now. Try again later." : "Try again later.",
    });
    return new BusyServer(report, waitOf(headers));
  }
  if (code === "EntryNotFound") return new HubError("missing_file", `${where} does not exist on ${endpoint}`);
  if (code === "RevisionNotFound") {
    return new HubError(
      "missing_revision",
      `${where}: ${repo} has no such revision on ${endpoint}`,
      "Check what follows the @.",
    );
  }
  if (code === "GatedRepo" || (status === 403 && /gated|licen[cs]e|access to model/i.test(said ?? ""))) {
    return new HubError(
      "denied",
      `${where}: access to ${repo} is granted only to those who accept its licence (${answer})`,
      `Log in and accept it at ${endpoint}/${repo}${hasToken ? "" : ", then set HF_TOKEN to a token of that account"}.`,
    );
  }
  if (status === 401 || code === "RepoNotFound") return unknownRepository(endpoint, repo, hasToken, answer);
  if (status === 403) {
    return new HubError(
      "denied",
      `${where}: ${endpoint} refuses access (${answer})`,
      hasToken
        ? `Check that the token may read ${repo}, and that its licence is accepted: ${endpoint}/${repo}`
        : `Log in: set HF_TOKEN to a token of ${endpoint}/settings/tokens, and accept the model's licence at ${endpoint}/${repo}.`,
    );
  }
  if (status === 404 || status === 410) return new HubError("missing_file", `${where} does not exist on ${endpoint}`);
  return new HubError("unserved", `${where}: ${endpoint} answered ${answer}`, "Check HF_ENDPOINT.");
}

/** The hub says the same of a private model as of none. */
function unknownRepository(endpoint: string, repo: string, hasToken: boolean, answer: string): HubError {
  return new HubError(
    "missing_repository",
    `${repo}: ${endpoint} has no such model, or it is private (${answer})`,
    hasToken
      ? `Check the name, and whether the token is valid and may read it: ${endpoint}/settings/tokens`
      : `Check the name. For a private model, log in: set HF_TOKEN to a token of ${endpoint}/settings/tokens.`,
  );
}

/** The error for a page in place of data: of a proxy that wants a login, or of a server that is not a hub. */
export function htmlInstead(endpoint: string, where: string): HubError {
  return new HubError(
    "unserved",
    `${where}: ${endpoint} sent a web page (HTML) instead`,
    "A network's login page may be in between, or HF_ENDPOINT is not a hub's address.",
  );
}

function waitOf(headers: Headers): number {
  const after = headers.get("retry-after") ?? /(?:^|[;,\s])t=(\d+)/.exec(headers.get("ratelimit") ?? "")?.[1] ?? "";
  const ms = /^\d{1,6}$/.test(after) ? Number(after) * 1000 : Date.parse(after) - Date.now();
  return Number.isFinite(ms) ? Math.min(Math.max(0, ms), LONGEST_WAIT_MS) : 0;
}
