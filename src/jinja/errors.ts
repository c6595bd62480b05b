/** What can go wrong with a template: one error class, with the name that Python's error would have. */

/**
 * - `syntax`: the template cannot be parsed.
 * - `refused`: the template called `raise_exception`; the message is its author's.
 * - `failed`: an operation that Jinja refuses, such as an attribute of an undefined value.
 * - `limit`: the template does more work, or makes longer text, than a chat template has reason to.
 */
export type TemplateErrorKind = "syntax" | "refused" | "failed" | "limit";

/** The exceptions of Python and Jinja that decide what catches what. */
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
  /** 1-based, where it is known. */
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

/** Is this one of the named Python exceptions? For what Jinja catches. */
export function isFailure(error: unknown, ...types: readonly PythonError[]): boolean {
  return error instanceof TemplateError && types.includes(error.type);
}
