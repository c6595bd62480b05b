/** Errors as people read them: what happened, and what they can do. */

export interface Failure {
  readonly what: string;
  readonly hint: string | null;
  readonly code: string | null;
}

/** An error of the engine has a code, a sentence and often a hint; others keep their message. */
export function failureOf(error: unknown, about?: string): Failure {
  if (!(error instanceof Error)) return { what: String(error), hint: null, code: null };
  const { code, hint } = error as { readonly code?: unknown; readonly hint?: unknown };
  const said = typeof hint === "string" ? error.message.replace(`\n  ${hint}`, "") : error.message;
  const what = about === undefined || said.includes(about) ? said : `${about}: ${said}`;
  return { what, hint: typeof hint === "string" ? hint : null, code: typeof code === "string" ? code : null };
}

/** Whether somebody stopped it, which is no failure. */
export function wasStopped(error: unknown): boolean {
  return error instanceof Error && (error as { readonly code?: unknown }).code === "aborted";
}
