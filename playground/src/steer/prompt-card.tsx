/** What the model continues or talks about, and how it draws. */
import { ChatHead } from "../chat/chat-head.tsx";
import { Choice } from "../parts/choice.tsx";
import { model } from "../state/model.ts";
import { canGenerate, generate, hasTemplate, isChat, prompt, sampling, wantsChat } from "./run.ts";
import { isBusy, runState, stop } from "./run-state.ts";
import { RunStatus } from "./run-status.tsx";
import { SamplingFields } from "./sampling-fields.tsx";
import { CopyLink } from "./share-button.tsx";

const modes = ["Prompt", "Chat"] as const;

export function PromptCard() {
  return (
    <section class="card prompt-card" aria-label="Prompt and settings">
      {hasTemplate.value && (
        <Choice
          label="Mode"
          names={modes}
          chosen={isChat.value ? "Chat" : "Prompt"}
          disabled={isBusy.value}
          onChoose={(name) => {
            wantsChat.value = name === "Chat";
            if (runState.value === "done" || runState.value === "stopped") runState.value = "idle";
          }}
        />
      )}
      {isChat.value ? <ChatHead /> : <PromptForm />}
    </section>
  );
}

function PromptForm() {
  const opened = model.value;
  const isReady = canGenerate.value && prompt.value.trim() !== "";
  return (
    <>
      <label class="field">
        <span>{opened && !opened.tokenizer ? "Token ids" : "Text to continue"}</span>
        <textarea
          aria-label="Prompt"
          rows={2}
          value={prompt.value}
          onInput={({ currentTarget }) => {
            prompt.value = currentTarget.value;
          }}
          onKeyDown={(event) => {
            if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || !isReady) return;
            event.preventDefault();
            void generate();
          }}
        />
      </label>
      <SamplingFields sampling={sampling} />
      <div class="row">
        <button type="button" class="button primary" disabled={!isReady} onClick={() => void generate()}>
          Generate
        </button>
        <button type="button" class="button" disabled={!isBusy.value} onClick={stop}>
          Stop
        </button>
        <CopyLink />
        <RunStatus />
      </div>
    </>
  );
}
