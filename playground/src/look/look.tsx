/** The room Look: what a prompt does inside the model. */
import { Switch } from "../parts/controls.tsx";
import { NeedsModel } from "../parts/needs-model.tsx";
import { FailureNotice } from "../parts/notice.tsx";
import { saveFile } from "../parts/save-file.ts";
import { hasStages } from "../state/bundles.ts";
import { failureOf } from "../state/failure.ts";
import { model } from "../state/model.ts";
import { Attention } from "./attention.tsx";
import { LensTable } from "./lens-table.tsx";
import { Norms } from "./norms.tsx";
import { captureBytes, isLooking, look, lookFailure, seen, text, usesStages } from "./state.ts";

export function Look() {
  const opened = model.value;
  if (!opened) {
    return (
      <NeedsModel
        suggests="gpt2-stories"
        says="Which tokens does each head look at, how does the stream grow, and when does the model know what it will say?"
      />
    );
  }
  const result = seen.value;
  return (
    <div class="stack">
      <section class="card stack" aria-label="Prompt to look at">
        <label class="field">
          <span>Text, up to 64 tokens</span>
          <textarea
            aria-label="Text"
            rows={2}
            value={text.value}
            onInput={({ currentTarget }) => {
              text.value = currentTarget.value;
            }}
          />
        </label>
        <div class="row">
          <button type="button" class="button primary" disabled={isLooking.value} onClick={() => void look()}>
            Look
          </button>
          <button
            type="button"
            class="button"
            disabled={result === null || isLooking.value}
            onClick={() => {
              captureBytes(opened).then(
                (bytes) => saveFile("captures.safetensors", bytes, "application/octet-stream"),
                (error: unknown) => {
                  lookFailure.value = failureOf(error);
                },
              );
            }}
          >
            Download captures
          </button>
          {hasStages.value && (
            <Switch
              label="With the bundles of Steer"
              checked={usesStages.value}
              onChange={(checked) => {
                usesStages.value = checked;
              }}
            />
          )}
          {isLooking.value && (
            <span class="soft small" role="status">
              Looking …
            </span>
          )}
        </div>
        {lookFailure.value && <FailureNotice failure={lookFailure.value} />}
      </section>
      {result && (
        <>
          <LensTable lens={result.lens} tokens={result.tokens} />
          <Attention seen={result} />
          <Norms seen={result} />
        </>
      )}
    </div>
  );
}
