/**
 * What a page and the engine in its worker tell each other. Requests are numbered by the page; objects that stay in the
 * worker, such as models, by the worker. Everything is answered in order of arrival, and nothing queues without bound:
 * tokens wait for credit, and of progress only the latest waits.
 */
import type { ErrorCode } from "../errors.ts";

/** Page and worker must be of one build; this changes with the protocol. */
export const PROTOCOL = 2;

/** The engine's own functions are called on this object. */
export const ENGINE = 0;

/** Tokens that may be on their way, so that neither side waits for the other. */
export const CREDIT = 64;

/** An object that stays in the worker. */
export interface Handle {
  readonly handle: number;
  readonly kind: RemoteKind;
  /** What is known of it on both sides. */
  readonly facts: unknown;
}

export type RemoteKind = "model" | "session" | "batch" | "attribution";

/** What an argument, or a field of an argument, stands for, since it cannot be copied. */
export interface Mark {
  /** The argument. */
  readonly at: number;
  /** Its field; absent for the argument itself. */
  readonly field?: string;
  /** `told`: a function without an answer. `latest`: one of whose calls only the latest wait. `asked`: one that answers. */
  readonly kind: "handle" | "signal" | "told" | "latest" | "asked";
  /** Number of the object, signal or function. */
  readonly number: number;
  /** Of a signal that was aborted before. */
  readonly aborted?: boolean;
}

/** A failure, as it crosses. */
export interface Failure {
  /** Absent for an error that nobody foresaw. */
  readonly code?: ErrorCode;
  /** Without the hint. */
  readonly message: string;
  readonly hint?: string;
  readonly field?: string;
  readonly stack?: string;
}

/** From the page. */
export type Request =
  /** What relative addresses are relative to. */
  | { readonly type: "base"; readonly address: string | undefined }
  | {
      readonly type: "call";
      readonly id: number;
      readonly target: number;
      readonly method: string;
      readonly args: readonly unknown[];
      readonly marks: readonly Mark[];
      /** Whether the page wants the tokens of a generation as they come. */
      readonly streams?: boolean;
    }
  | { readonly type: "abort"; readonly signal: number }
  /** The page has taken that many tokens. */
  | { readonly type: "took"; readonly id: number; readonly count: number }
  /** The page stopped iterating. */
  | { readonly type: "stop"; readonly id: number }
  /** The page has heard the progress it was told last. */
  | { readonly type: "heard"; readonly number: number }
  | ({ readonly type: "answer"; readonly id: number } & Outcome)
  | { readonly type: "release"; readonly handle: number }
  /** The page is done: nothing of it is needed any more. */
  | { readonly type: "end" };

/** A value, or why there is none. */
export type Outcome = { readonly value: unknown } | { readonly failure: Failure };

/** From the worker. */
export type Reply =
  | { readonly type: "ready"; readonly protocol: number }
  | ({ readonly type: "done"; readonly id: number } & Outcome)
  | { readonly type: "items"; readonly id: number; readonly items: readonly unknown[] }
  | { readonly type: "tell"; readonly number: number; readonly calls: readonly (readonly unknown[])[] }
  | { readonly type: "ask"; readonly id: number; readonly number: number; readonly args: readonly unknown[] };

/** What both a worker and a port of a channel are. */
export interface Port {
  postMessage(message: unknown, transfer: Transferable[]): void;
  addEventListener(type: "message", listener: (event: MessageEvent) => void): void;
}

/** Buffers of a value's arrays, to be moved. A buffer that an array shows only a part of is copied. */
export function buffersOf(value: unknown, found: Set<ArrayBuffer> = new Set()): Set<ArrayBuffer> {
  if (ArrayBuffer.isView(value)) {
    const { buffer, byteLength } = value;
    if (buffer instanceof ArrayBuffer && byteLength === buffer.byteLength) found.add(buffer);
  } else if (value instanceof Map) for (const each of value.values()) buffersOf(each, found);
  else if (typeof value === "object" && value !== null && !(value instanceof Blob)) {
    for (const each of Object.values(value)) {
      if (typeof each === "object") buffersOf(each, found);
    }
  }
  return found;
}
