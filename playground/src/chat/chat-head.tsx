/** What a chat begins with: a system message, and how answers are drawn. */
import { isBusy } from "../steer/run-state.ts";
import { SamplingFields } from "../steer/sampling-fields.tsx";
import { CopyLink } from "../steer/share-button.tsx";
import { newChat } from "./chat.ts";
import { chatSampling, system, turns } from "./turns.ts";

export function ChatHead() {
  const hasBegun = turns.value.length > 0;
  return (
    <>
      <label class="field">
        <span>System message{hasBegun && ", read again with the next message"}</span>
        <textarea
          aria-label="System message"
          rows={1}
          value={system.value}
          placeholder="None. Such as: Answer in one sentence."
          onInput={({ currentTarget }) => {
            system.value = currentTarget.value;
          }}
        />
      </label>
      <div class="row end">
        <SamplingFields sampling={chatSampling} />
        <button type="button" class="button" disabled={!hasBegun || isBusy.value} onClick={newChat}>
          New chat
        </button>
        <CopyLink />
      </div>
    </>
  );
}
