/** Errors of templates: one class, with the name that Python's error would have. */

/**
 * - `syntax`: the template cannot be parsed.
 * - `refused`: the template called `raise_exception`; the message is its author's.
 * - `failed`: an operation that Jinja refuses, such as an attribute of an undefined value.
 * - `limit`: the template does more work, or makes longer text, than a chat template needs.
 */
export type TemplateErrorKind = "syntax" | "refused" | "failed" | "limit";

/** The exceptions of Python and Jinja that decide which handler catches them. */
export type PythonError =
  | "TypeError"
  | "ValueError"
  | "IndexError"
  | "KeyError"
  | "AttributeError"
  | "OverflowError"
  | "ZeroDivisionError"
  | "AssertionError"
  | "UndefinedError"
  | "SecurityError"
  | "TemplateSyntaxError"
  | "TemplateRuntimeError"
  | "FilterArgumentError"
  | "TemplateError"
  | "Limit";

export class TemplateError extends Error {
  override readonly name = "TemplateError";
  readonly kind: TemplateErrorKind;
  readonly type: PythonError;
  /** 1-based line, if known. */
  line: number | undefined;

  constructor(kind: TemplateErrorKind, type: PythonError, message: string, line?: number) {
    super(message);
    this.kind = kind;
    this.type = type;
    this.line = line;
  }
}

/** The error of an operation that Python or Jinja refuses. */
export function failure(type: PythonError, message: string): TemplateError {
  return new TemplateError("failed", type, message);
}

export function syntaxError(message: string, line: number): TemplateError {
  return new TemplateError("syntax", "TemplateSyntaxError", message, line);
}

/** Whether this is one of the named Python exceptions, for handlers of Jinja. */
export function isFailure(error: unknown, ...types: readonly PythonError[]): boolean {
  return error instanceof TemplateError && types.includes(error.type);
}
