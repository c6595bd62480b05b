/** Addresses of queues: what they name, and how they are shown without their passwords. */
import { SluiceError } from "../errors.ts";

const PROTOCOLS: Readonly<Record<string, string>> = {
  "redis:": "redis:",
  "rediss:": "rediss:",
  "valkey:": "redis:",
  "valkeys:": "rediss:",
};

/** Where a queue is. */
export interface QueueAddress {
  /** As given: it may hold a password, so it is never shown. */
  readonly given: string;
  /** For messages. */
  readonly shown: string;
  /** A path of a socket, or an address that clients read. */
  readonly target: { readonly path: string; readonly password?: string } | { readonly url: string };
}

/** The variable of the environment that holds the password: unlike an address, no list of processes shows it. */
export const PASSWORD_VARIABLE = "SLUICE_QUEUE_PASSWORD";

/**
 * @param password for an address that has none
 * @throws SluiceError `usage` for what is not an address of a queue; the message does not repeat it
 */
export function queueAddress(given: string, password = ""): QueueAddress {
  const [, path] = /^unix:(?:\/\/)?(\/.+)$/.exec(given) ?? [];
  if (path !== undefined) {
    return { given, shown: `unix:${path}`, target: { path, ...(password !== "" && { password }) } };
  }
  const url = URL.canParse(given) ? new URL(given) : null;
  const protocol = url && PROTOCOLS[url.protocol];
  if (!url || !protocol || url.hostname === "") {
    throw new SluiceError("usage", "That is not the address of a queue", {
      hint: "Write redis://HOST:PORT, rediss://… with TLS, or unix:/path/of/redis.sock.",
      field: "queue",
    });
  }
  const shown = `${url.protocol}//${url.host}`;
  if (url.password === "" && password !== "") url.password = encodeURIComponent(password);
  const database = url.pathname.length > 1 ? url.pathname : "";
  return {
    given,
    shown: `${shown}${database}`,
    target: { url: url.href.replace(/^\w+:/, protocol) },
  };
}

/** A text without the user and password of any address in it. */
export function withoutPasswords(text: string): string {
  return text.replace(/\b((?:redis|valkey)s?:\/\/)[^\s/@]*@/gi, "$1");
}
