/** Errors across threads: a SluiceError stays one. */
import { SluiceError } from "../errors.ts";
import type { Failure } from "./protocol.ts";

export function failureOf(error: unknown): Failure {
  if (!(error instanceof Error)) return { message: String(error) };
  const { message, stack = "" } = error;
  if (!(error instanceof SluiceError)) return { message: `${error.name}: ${message}`, stack };
  const { code, hint, field } = error;
  return {
    code,
    message: hint === undefined ? message : message.slice(0, -`\n  ${hint}`.length),
    ...(hint !== undefined && { hint }),
    ...(field !== undefined && { field }),
    stack,
  };
}

/** The error again; what the other side knew of its origin is the cause. */
export function errorOf({ code, message, hint, field, stack }: Failure): Error {
  const cause = stack === undefined ? undefined : new Error("In the worker", { cause: stack });
  if (code === undefined) return new Error(message, { cause });
  return new SluiceError(code, message, {
    ...(hint !== undefined && { hint }),
    ...(field !== undefined && { field }),
    cause,
  });
}
