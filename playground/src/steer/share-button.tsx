/** Copies a link to what is on the screen. */
import { hasModel } from "./run.ts";
import { copyLink } from "./share.ts";

export function CopyLink() {
  return (
    <button type="button" class="button" disabled={!hasModel.value} onClick={() => void copyLink()}>
      Copy link
    </button>
  );
}
