/** Where messages are typed. It stays in sight while the transcript grows. */
import { FailureNotice } from "../parts/notice.tsx";
import { canGenerate } from "../steer/run.ts";
import { isBusy, runFailure, stop } from "../steer/run-state.ts";
import { RunStatus } from "../steer/run-status.tsx";
import { regenerate, send } from "./chat.ts";
import { message, turns } from "./turns.ts";

export function Composer() {
  const isReady = canGenerate.value && message.value.trim() !== "";
  return (
    <section class="card composer" aria-label="Message">
      <textarea
        aria-label="Prompt"
        aria-describedby="composer-keys"
        rows={1}
        placeholder={turns.value.length > 0 ? "Your next message, to both" : "A message, to both"}
        value={message.value}
        onInput={({ currentTarget }) => {
          message.value = currentTarget.value;
        }}
        onKeyDown={(event) => {
          if (event.key === "Escape" && isBusy.value) stop();
          // Enter also ends the composition of a character, as of Chinese or Japanese.
          if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
          event.preventDefault();
          if (isReady) void send();
        }}
      />
      {runFailure.value && <FailureNotice failure={runFailure.value} />}
      <div class="row">
        <button type="button" class="button primary" disabled={!isReady} onClick={() => void send()}>
          Generate
        </button>
        <button type="button" class="button" disabled={!isBusy.value} onClick={stop}>
          Stop
        </button>
        <button
          type="button"
          class="button"
          disabled={turns.value.length === 0 || !canGenerate.value}
          title="Draws the last answers again, with the next seed"
          onClick={() => void regenerate()}
        >
          Try again
        </button>
        <RunStatus />
        <span class="soft small keys" id="composer-keys">
          Enter sends, Shift+Enter begins a new line
        </span>
      </div>
    </section>
  );
}
