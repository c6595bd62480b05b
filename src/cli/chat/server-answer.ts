/** An answer of a server with OpenAI's interface, as it comes. */
import { SluiceError } from "../../errors.ts";
import { showText } from "../../show.ts";

export interface ServerQuestion {
  readonly server: string;
  readonly key: string | undefined;
  /** A request to `/v1/chat/completions` that streams. */
  readonly body: object;
  readonly signal: AbortSignal;
}

/** @throws SluiceError `not_found` if the server cannot be reached, `usage` for what it refuses, `aborted` */
export async function* streamAnswer({ server, key, body, signal }: ServerQuestion): AsyncGenerator<string, void> {
  const address = `${server.replace(/\/+$/, "").replace(/\/v1$/, "")}/v1/chat/completions`;
  const headers = { "Content-Type": "application/json", ...(key !== undefined && { Authorization: `Bearer ${key}` }) };
  try {
    const response = await fetch(address, { method: "POST", headers, body: JSON.stringify(body), signal });
    if (!response.ok || !response.body) throw await refusalOf(response);
    let rest = "";
    for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + piece).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const data = line.startsWith("data:") ? line.slice(5).trim() : "";
        if (data === "[DONE]") return;
        if (data !== "") yield textOf(data);
      }
    }
  } catch (cause) {
    if (cause instanceof SluiceError) throw cause;
    if (signal.aborted) throw new SluiceError("aborted", "The operation was aborted", { cause });
    throw new SluiceError("not_found", `${server} cannot be reached: ${(cause as Error).message}`, {
      hint: "Start it with `sluice serve MODEL`.",
      cause,
    });
  }
}

interface Chunk {
  readonly choices?: readonly { readonly delta?: { readonly content?: string | null } }[];
  readonly error?: { readonly message?: string };
}

function textOf(data: string): string {
  const { choices, error } = JSON.parse(data) as Chunk;
  if (error) throw new SluiceError("usage", `The server stopped: ${showText(error.message ?? "", 500)}`);
  return choices?.[0]?.delta?.content ?? "";
}

async function refusalOf(response: Response): Promise<SluiceError> {
  const text = await response.text();
  let message = text;
  try {
    message = (JSON.parse(text) as Chunk).error?.message ?? text;
  } catch {
    // Not every proxy answers in JSON: its text is shown as it is.
  }
  return new SluiceError("usage", `The server refuses (${response.status}): ${showText(message, 500)}`);
}
