/**
 * Every failure that Sluice can foresee is a {@link SluiceError}: a stable `code` for programs, and for
 * people a sentence that names what was wrong and where, followed by what to do about it.
 */

/** What kind of thing went wrong. Stable: programs may switch on it. */
export type ErrorCode =
  /** Usage error of the caller: a bad option, an empty prompt, a site that does not exist. */
  | "usage"
  /** A file or address cannot be read, or does not exist. */
  | "not_found"
  /** A file or folder cannot be written: no room, no permission, or it was removed meanwhile. */
  | "not_written"
  /** A file is damaged or contradicts itself: a truncated, overlapping or oversized safetensors header. */
  | "bad_file"
  /** config.json has a setting that this engine cannot run, or contradicts itself. */
  | "bad_config"
  /** The tensors contradict config.json. */
  | "bad_weights"
  /** An intervention bundle is invalid or does not fit the model. */
  | "bad_bundle"
  /** A token id outside the vocabulary, or text for a model without a tokenizer. */
  | "bad_tokens"
  /** The sequence would not fit into the context. */
  | "context_overflow"
  /** No WebGPU implementation, or no adapter. */
  | "no_adapter"
  /** The device cannot hold or run this; names the limit. */
  | "device_limit"
  /** The device went away while in use. */
  | "device_lost"
  /** A shader did not compile, or the GPU reported a validation error: a defect of ours. */
  | "gpu"
  /** Logits were not finite. */
  | "non_finite"
  /** The session, or the attribution, runs another call. */
  | "busy"
  /** A queue cannot be reached, or its workers could not compute a part of the job. */
  | "queue"
  /** The caller's AbortSignal fired. */
  | "aborted";

/** What an error carries besides its code and message. */
export interface SluiceErrorOptions {
  /** A remedy, as a sentence. */
  readonly hint?: string;
  /** The library's name of the option that should have another value, if any; programs may map it to their own names. */
  readonly field?: string;
  /** The error that led to this one. */
  readonly cause?: unknown;
}

/**
 * Every error of this package: a stable code, a sentence that says what was wrong and where, and what to do about it.
 */
export class SluiceError extends Error {
  /** `SluiceError`. */
  override readonly name = "SluiceError";
  /** Stable identifier to branch on. */
  readonly code: ErrorCode;
  /** A remedy, as a sentence; undefined if none is known. `message` includes it. */
  readonly hint: string | undefined;
  /** The library's name of the option that should have another value; undefined if there is none. */
  readonly field: string | undefined;

  /**
   * Makes an error whose message is the sentence, with the hint on its own line.
   * @param code stable identifier
   * @param message what was wrong and where, as one sentence without a full stop needed at the end
   */
  constructor(code: ErrorCode, message: string, options: SluiceErrorOptions = {}) {
    super(options.hint ? `${message}\n  ${options.hint}` : message, { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    this.field = options.field;
  }
}

/** Throws the error of an aborted signal; does nothing for a missing signal or one that is not aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new SluiceError("aborted", "The operation was aborted", { cause: signal.reason });
}

/**
 * Refuses a count that is not a whole number.
 * @param what the option's name
 * @throws SluiceError `usage`
 */
export function checkWhole(what: string, value: number, least = 1): void {
  if (Number.isSafeInteger(value) && value >= least) return;
  throw new SluiceError("usage", `${what} is ${value}; it must be a whole number, ${least} or more`);
}
