/** What a server takes, at most. */
export const defaultLimits = {
  /** Bytes of a request's body, and of an uploaded bundle. */
  bodyBytes: 4 << 20,
  bundleBytes: 256 << 20,
  /** Bundles that can be registered at once, and the bytes of their tensors in all. */
  bundles: 1024,
  allBundlesBytes: 1 << 30,
  headerBytes: 16 << 10,
  /** Sockets that may be open at once. */
  connections: 1024,
  /** Time to send the headers, the whole request, and to be answered. */
  headersMs: 15_000,
  requestMs: 60_000,
  answerMs: 10 * 60_000,
  /** Requests that wait for a sequence, per sequence. */
  queuePerSequence: 8,
  /** Choices of one request: prompts times n. */
  choices: 128,
  /** Bytes of a stream that its reader has not taken, and how long the reader of any answer may take nothing. */
  backlogBytes: 1 << 20,
  stallMs: 60_000,
  /** A stream that has nothing to say for this long says that it is there. */
  quietMs: 10_000,
  /** Seconds after which a refused client may try again. */
  retryAfterSeconds: 1,
} as const;

/** Limits of a server; tests have smaller ones. */
export type Limits = { readonly [Name in keyof typeof defaultLimits]: number };
