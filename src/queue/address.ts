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
  readonly target: { readonly path: string } | { readonly url: string };
}

/** @throws SluiceError `usage` for what is no address of a queue; the message does not repeat it */
export function queueAddress(given: string): QueueAddress {
  const [, path] = /^unix:(?:\/\/)?(\/.+)$/.exec(given) ?? [];
  if (path !== undefined) return { given, shown: `unix:${path}`, target: { path } };
  const url = URL.canParse(given) ? new URL(given) : null;
  const protocol = url && PROTOCOLS[url.protocol];
  if (!url || !protocol || url.hostname === "") {
    throw new SluiceError("usage", "That is not the address of a queue", {
      hint: "Write redis://HOST:PORT, rediss://… with TLS, or unix:/path/of/redis.sock.",
      field: "queue",
    });
  }
  const database = url.pathname.length > 1 ? url.pathname : "";
  return {
    given,
    shown: `${url.protocol}//${url.host}${database}`,
    target: { url: given.replace(/^\w+:/, protocol) },
  };
}

/** A text without the user and password of any address in it. */
export function withoutPasswords(text: string): string {
  return text.replace(/\b((?:redis|valkey)s?:\/\/)[^\s/@]*@/gi, "$1");
}
