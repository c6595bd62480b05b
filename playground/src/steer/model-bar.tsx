/** Opens a model, and says which one is open. */
import { useSignal } from "@preact/signals";
import { FileButton, Progress } from "../parts/controls.tsx";
import { NoWebGpu } from "../parts/no-webgpu.tsx";
import { FailureNotice } from "../parts/notice.tsx";
import { ServerForm } from "../server/server-form.tsx";
import { openFiles } from "../state/dropped.ts";
import {
  choiceOf,
  chosen,
  type Loading,
  loading,
  model,
  modelFailure,
  notices,
  openModel,
  smallModels,
  stopLoading,
} from "../state/model.ts";
import { room } from "../state/room.ts";
import { server } from "../state/server.ts";
import { runState } from "./run-state.ts";

const phases: Readonly<Record<string, string>> = {
  open: "Asking for",
  download: "Downloading",
  upload: "Uploading to the GPU:",
  compile: "Compiling shaders for",
  tune: "Choosing kernels for",
};

export function ModelBar() {
  const text = useSignal("");
  const isFirst =
    model.value === null && server.value === null && runState.value === "recorded" && room.value === "Steer";
  return (
    <section class="opener" aria-label="Model">
      {isFirst && (
        <p class="lead">
          Change what a language model says <em>from the inside</em>, while it speaks.
        </p>
      )}
      {!server.value && <NoWebGpu />}
      <form
        class="opener-form"
        onSubmit={(event) => {
          event.preventDefault();
          if (text.value.trim()) void openModel(choiceOf(text.value));
        }}
      >
        <label class="field">
          <span>Model</span>
          <input
            type="text"
            value={text.value}
            placeholder="hub id, such as openai-community/gpt2, or an address"
            spellcheck={false}
            autocomplete="off"
            autocapitalize="off"
            onInput={({ currentTarget }) => {
              text.value = currentTarget.value;
            }}
          />
        </label>
        <button type="submit" class="button">
          Open
        </button>
        <FileButton label="Model folder" isFolder onFiles={(files) => void openFiles(files)}>
          Folder…
        </FileButton>
      </form>
      <div class="samples">
        <span class="soft" id="small-models">
          Small models, here at once:
        </span>
        {smallModels.map(({ id, says }) => (
          <button
            key={id}
            type="button"
            class="button small"
            title={says}
            aria-pressed={chosen.value?.id === id}
            onClick={() => void openModel({ kind: "small", id })}
          >
            {id}
          </button>
        ))}
      </div>
      <ServerForm />
      {loading.value && <LoadingLine state={loading.value} />}
      {modelFailure.value && <FailureNotice failure={modelFailure.value} />}
      <OpenModel />
    </section>
  );
}

function LoadingLine({ state }: { readonly state: Loading }) {
  const { id, progress } = state;
  const words = progress ? `${phases[progress.phase] ?? "Loading"} ${id}` : `Loading ${id}`;
  return (
    <div class="row">
      <div style={{ flex: "1 1 14rem", maxWidth: "34rem" }}>
        <Progress label="Loading" words={words} done={progress?.done ?? 0} total={progress?.total ?? 0} />
      </div>
      <button type="button" class="button small" onClick={stopLoading}>
        Cancel
      </button>
    </div>
  );
}

function OpenModel() {
  const opened = model.value;
  if (!opened) return null;
  const { config, device } = opened;
  return (
    <div class="model-line" role="status">
      <strong>{chosen.value?.id}</strong>
      <span class="soft">
        {config.model_type}, {config.num_hidden_layers} layers of {config.num_attention_heads} heads, width{" "}
        {config.hidden_size}
      </span>
      <span class="chip">{device.name}</span>
      {notices.value.map((notice) => (
        <span key={notice} class="soft small notice-line">
          {notice.split("\n")[0]}
        </span>
      ))}
    </div>
  );
}
