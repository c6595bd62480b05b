/** A text, continued with and without the edges that are cut. */
import { untracked, useSignalEffect } from "@preact/signals";
import { FailureNotice } from "../parts/notice.tsx";
import { model } from "../state/model.ts";
import { attributeText, continueText, failure, isRunning, replacement, said, text } from "./continuation.ts";
import { cut } from "./state.ts";

export function ContinuationCard() {
  useSignalEffect(() => {
    cut.value;
    replacement.value;
    if (model.value) untracked(() => void continueText());
  });
  return (
    <section class="card stack" aria-label="Continuation">
      <label class="field">
        <span>Text that is continued, and on which edges are judged</span>
        <textarea
          rows={2}
          value={text.value}
          onChange={({ currentTarget }) => {
            text.value = currentTarget.value;
            void continueText();
          }}
        />
      </label>
      <div class="row">
        <button type="button" class="button" disabled={isRunning.value} onClick={() => void attributeText()}>
          What is each edge worth?
        </button>
        <label class="row">
          <span class="label">Cut sources become</span>
          <select
            style={{ width: "auto" }}
            value={replacement.value}
            onChange={({ currentTarget }) => {
              replacement.value = currentTarget.value as "means" | "zero";
            }}
          >
            <option value="means">their mean over the text</option>
            <option value="zero">nothing</option>
          </select>
        </label>
        {isRunning.value && (
          <span class="soft small" role="status">
            Running …
          </span>
        )}
      </div>
      {failure.value && <FailureNotice failure={failure.value} />}
      {said.value && (
        <>
          <div class="sides">
            <div class="side card">
              <h2>Plain</h2>
              <p class="said">
                <span class="given">{text.value}</span>
                {said.value.plain}
              </p>
            </div>
            <div class="side card edited">
              <h2>With edges cut</h2>
              <p class="said">
                <span class="given">{text.value}</span>
                {said.value.edited}
              </p>
            </div>
          </div>
          <p class="soft small number">
            KL(plain ‖ cut): {said.value.last.toFixed(3)} nats after the last token, {said.value.mean.toFixed(3)} on
            average over the text.
          </p>
        </>
      )}
    </section>
  );
}
