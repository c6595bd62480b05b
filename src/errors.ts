/**
 * Every failure that Sluice can foresee is a {@link SluiceError}: a stable `code` for programs, and for
 * people a sentence that names what was wrong and where, followed by what to do about it.
 */

/** What kind of thing went wrong. Stable: programs may switch on it. */
export type ErrorCode =
  /** The caller asked for something that makes no sense: a bad option, an empty prompt, a site that does not exist. */
  | "usage"
  /** A file or address cannot be read, or is not there. */
  | "not_found"
  /** A file or folder cannot be written: no room, no permission, or it went away while it was. */
  | "not_written"
  /** A file is damaged or lies about itself: a truncated, overlapping or oversized safetensors header. */
  | "bad_file"
  /** config.json holds something this engine cannot run, or that contradicts itself. */
  | "bad_config"
  /** The tensors contradict config.json. */
  | "bad_weights"
  /** An intervention bundle says something that cannot be, or that does not fit the model. */
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
  /** The caller's AbortSignal fired. */
  | "aborted";

export interface SluiceErrorOptions {
  /** What the reader can do about it, as a sentence. */
  readonly hint?: string;
  /** The option by its name in the library, if another value of it would help: a program that has it under another name says so. */
  readonly field?: string;
  readonly cause?: unknown;
}

export class SluiceError extends Error {
  override readonly name = "SluiceError";
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly field: string | undefined;

  /**
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

/** Throws the error of an aborted signal; does nothing for a missing or quiet one. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new SluiceError("aborted", "The operation was aborted", { cause: signal.reason });
}

/**
 * Refuses an option that counts something and is no whole number.
 * @param what the option's name
 * @throws SluiceError `usage`
 */
export function checkWhole(what: string, value: number, least = 1): void {
  if (Number.isSafeInteger(value) && value >= least) return;
  throw new SluiceError("usage", `${what} is ${value}; it must be a whole number, ${least} or more`);
}
