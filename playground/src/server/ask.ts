/** Asks a server that the user named; none is asked before that, and none that it redirects to. */
import type { Server } from "../state/server.ts";

/** What a server, or the way to it, refused. */
export class Refusal extends Error {
  readonly code: string;
  readonly hint: string | undefined;
  readonly status: number;

  constructor(
    message: string,
    { code = "server", hint, status = 0 }: Partial<Pick<Refusal, "code" | "hint" | "status">>,
  ) {
    super(message);
    this.code = code;
    this.hint = hint;
    this.status = status;
  }
}

/** `localhost:8000/v1/` → `http://localhost:8000`. @throws Refusal for what this page may not ask */
export function serverAddress(text: string): string {
  const given = text.trim().replace(/\/+$/, "").replace(/\/v1$/, "");
  const isLocal = /^(?:https?:\/\/)?(?:localhost|127\.0\.0\.1)(?:[:/]|$)/.test(given);
  const whole = /^https?:\/\//.test(given) ? given : `${isLocal ? "http" : "https"}://${given}`;
  if (!URL.canParse(whole))
    throw new Refusal(`"${text.trim()}" is no address`, { hint: "Such as http://localhost:8000" });
  // As the page's content security policy has it.
  if (!whole.startsWith("https:") && !isLocal && new URL(whole).origin !== location.origin) {
    throw new Refusal(`This page asks servers by https, or on this machine: ${whole} is neither`, {
      hint: "Put https in front of it, or bring it here: ssh -L 8000:localhost:8000 HOST, then http://localhost:8000",
    });
  }
  return whole;
}

/** @throws Refusal; an abort keeps its own error */
export async function ask(
  { address, key }: Pick<Server, "address" | "key">,
  path: string,
  options: RequestInit & { readonly signal: AbortSignal },
): Promise<Response> {
  const headers = new Headers(options.headers);
  if (key !== "") headers.set("authorization", `Bearer ${key}`);
  let response: Response;
  try {
    response = await fetch(`${address}${path}`, { ...options, headers, credentials: "omit", redirect: "error" });
  } catch {
    if (options.signal.aborted && !isTimeout(options.signal)) throw stopped();
    throw new Refusal(`${address} cannot be reached from this page`, {
      hint: `Does it run, and does it let this page in? sluice serve MODEL --cors ${location.origin}`,
    });
  }
  if (!response.ok) throw await refusalOf(response, address);
  return response;
}

export function stopped(): Error {
  return Object.assign(new Error("The answer was stopped"), { code: "aborted" });
}

function isTimeout({ reason }: AbortSignal): boolean {
  return reason instanceof DOMException && reason.name === "TimeoutError";
}

async function refusalOf(response: Response, address: string): Promise<Refusal> {
  const { status } = response;
  const text = (await response.text()).slice(0, 2000);
  let said: { readonly message?: string; readonly code?: string | null } = {};
  try {
    const body = JSON.parse(text) as { readonly error?: typeof said };
    said = body.error ?? {};
  } catch {
    // Not every proxy answers in JSON: its text is shown as it is.
  }
  const message = said.message ?? (text.trim().slice(0, 300) || `HTTP ${status}`);
  const hint =
    status === 401
      ? "Enter the server's key, and connect again."
      : said.code === "context_length_exceeded"
        ? "Shorten the message, or begin a new chat."
        : undefined;
  return new Refusal(`${address} refuses: ${message}`, { code: said.code ?? "server", status, ...(hint && { hint }) });
}
