/** The room Fit: two lists of sentences become a bundle. */
import { useComputed } from "@preact/signals";
import { FileButton, Progress } from "../parts/controls.tsx";
import { NeedsModel } from "../parts/needs-model.tsx";
import { FailureNotice } from "../parts/notice.tsx";
import { model, speaks } from "../state/model.ts";
import { Findings } from "./findings.tsx";
import { example, sentencesIn } from "./lists.ts";
import {
  doing,
  fitFailure,
  fitted,
  layer,
  type Method,
  method,
  methods,
  negative,
  positive,
  startFit,
  stopFit,
} from "./state.ts";

export function Fit() {
  const opened = model.value;
  if (!opened) {
    return (
      <NeedsModel
        suggests="gpt2-stories"
        says="Two lists of sentences, one of what you look for and one of the rest. The fit finds what tells them apart inside the model, and makes a bundle of it."
      />
    );
  }
  if (!speaks.value)
    return <p class="notice">This model has no tokenizer, so there are no sentences to read. Open another.</p>;
  return (
    <div class="stack">
      <section class="card stack" aria-label="Fit a bundle">
        <div class="sides">
          <List label="Positive" says="shows what you look for" text={positive} />
          <List label="Negative" says="does not" text={negative} />
        </div>
        <div class="row end">
          <label class="field" style={{ flex: "1 1 16rem", maxWidth: "30rem" }}>
            <span>Method</span>
            <select
              value={method.value}
              onChange={({ currentTarget }) => {
                method.value = currentTarget.value as Method;
              }}
            >
              {Object.entries(methods).map(([id, words]) => (
                <option key={id} value={id}>
                  {words}
                </option>
              ))}
            </select>
          </label>
          {method.value !== "aura" && method.value !== "edges" && (
            <LayerChoice layers={opened.config.num_hidden_layers} />
          )}
          <FitButtons />
        </div>
        {doing.value && <Progress label="Fitting" words={timed()} done={doing.value.done} total={doing.value.total} />}
        {fitFailure.value && <FailureNotice failure={fitFailure.value} />}
      </section>
      {fitted.value && <Findings fitted={fitted.value} />}
    </div>
  );
}

function FitButtons() {
  const isReady = useComputed(
    () => positive.value.trim() !== "" && negative.value.trim() !== "" && doing.value === null,
  );
  return (
    <>
      <button type="button" class="button primary" disabled={!isReady.value} onClick={() => void startFit()}>
        Fit
      </button>
      <button type="button" class="button" disabled={doing.value === null} onClick={stopFit}>
        Stop
      </button>
      <button
        type="button"
        class="button quiet"
        onClick={() => {
          positive.value = example.positive.join("\n");
          negative.value = example.negative.join("\n");
        }}
      >
        Use an example
      </button>
    </>
  );
}

function LayerChoice({ layers }: { readonly layers: number }) {
  return (
    <label class="field">
      <span>Layers</span>
      <select
        value={layer.value ?? "all"}
        onChange={({ currentTarget }) => {
          layer.value = currentTarget.value === "all" ? null : Number(currentTarget.value);
        }}
      >
        <option value="all">all</option>
        {Array.from({ length: layers }, (_, i) => (
          <option key={i} value={i}>
            {i}
          </option>
        ))}
      </select>
    </label>
  );
}

interface ListProps {
  readonly label: string;
  readonly says: string;
  readonly text: typeof positive;
}

function List({ label, says, text }: ListProps) {
  const count = sentencesIn(text.value).length;
  return (
    <div class="stack">
      <label class="field">
        <span aria-hidden="true">
          {label}: {says}
        </span>
        <textarea
          aria-label={label}
          rows={9}
          placeholder="One sentence per line"
          value={text.value}
          onInput={({ currentTarget }) => {
            text.value = currentTarget.value;
          }}
          onDrop={(event) => {
            const file = event.dataTransfer?.files[0];
            if (!file) return;
            event.preventDefault();
            event.stopPropagation();
            void file.text().then((read) => {
              text.value = read;
            });
          }}
        />
      </label>
      <div class="row spread">
        <span class="soft small number">
          {count} sentence{count === 1 ? "" : "s"}
        </span>
        <FileButton
          label={`${label} sentences from a file`}
          accept=".txt,.jsonl"
          onFiles={([file]) => {
            void file?.text().then((read) => {
              text.value = read;
            });
          }}
        >
          From a file…
        </FileButton>
      </div>
    </div>
  );
}

/** What is being done, and about how long it will take. */
function timed(): string {
  const now = doing.value;
  if (!now) return "";
  const { words, done, total, since } = now;
  if (done === 0 || total === 0) return `${words} …`;
  const left = ((performance.now() - since) / done) * (total - done);
  return `${words}: ${done} of ${total}${left > 1500 ? `, about ${Math.ceil(left / 1000)} s left` : ""}`;
}
