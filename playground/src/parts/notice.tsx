/** What went wrong, and what to do about it. */
import type { Failure } from "../state/failure.ts";

export function FailureNotice({ failure }: { readonly failure: Failure }) {
  return (
    <div class="notice bad" role="alert">
      <strong>{failure.what}</strong>
      {failure.hint && <span>{failure.hint}</span>}
    </div>
  );
}
