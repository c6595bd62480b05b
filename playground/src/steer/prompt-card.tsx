/** What the model continues, and how it draws. */
import { NumberField, Switch } from "../parts/controls.tsx";
import { loading, model } from "../state/model.ts";
import { asChat, generate, hasTemplate, isBusy, prompt, runState, sampling, stop } from "./run.ts";
import { copyLink } from "./share.ts";

export function PromptCard() {
  const opened = model.value;
  const set = (change: Partial<typeof sampling.value>) => {
    sampling.value = { ...sampling.value, ...change };
  };
  const { temperature, seed, maxNewTokens } = sampling.value;
  const isReady = opened !== null && loading.value === null && !isBusy.value && prompt.value.trim() !== "";
  return (
    <section class="card prompt-card" aria-label="Prompt and settings">
      <label class="field">
        <span>{asChat.value ? "Message" : opened && !opened.tokenizer ? "Token ids" : "Text to continue"}</span>
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
      <div class="settings">
        <NumberField
          label="New tokens"
          value={maxNewTokens}
          least={1}
          most={opened?.config.max_position_embeddings ?? 1024}
          step={1}
          onChange={(value) => set({ maxNewTokens: Math.round(value) })}
        />
        <NumberField
          label="Temperature"
          value={temperature}
          least={0}
          most={5}
          step={0.1}
          onChange={(value) => set({ temperature: value })}
        />
        <NumberField
          label="Seed"
          value={seed}
          least={0}
          most={2 ** 32}
          step={1}
          onChange={(value) => set({ seed: Math.round(value) })}
        />
        {hasTemplate.value && <ChatSwitch />}
      </div>
      <div class="row">
        <button type="button" class="button primary" disabled={!isReady} onClick={() => void generate()}>
          Generate
        </button>
        <button type="button" class="button" disabled={!isBusy.value} onClick={stop}>
          Stop
        </button>
        <button type="button" class="button" disabled={!opened} onClick={() => void copyLink()}>
          Copy link
        </button>
        <span class="soft small" role="status">
          {opened ? said[runState.value] : "Open a model to run it here."}
        </span>
      </div>
    </section>
  );
}

function ChatSwitch() {
  return (
    <Switch
      label="Chat"
      checked={asChat.value}
      onChange={(checked) => {
        asChat.value = checked;
      }}
    />
  );
}

const said: Readonly<Record<typeof runState.value, string>> = {
  idle: "",
  recorded: "",
  starting: "Preparing …",
  running: "Generating …",
  done: "Done.",
  stopped: "Stopped.",
  failed: "Failed.",
};
