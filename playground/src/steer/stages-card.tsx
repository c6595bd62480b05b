/** Bundles: from a file, a link or the shelf, and a card for each of their stages. */
import { useSignal } from "@preact/signals";
import { FileButton } from "../parts/controls.tsx";
import { FailureNotice } from "../parts/notice.tsx";
import { ServerShelf } from "../server/server-shelf.tsx";
import { bundleFailure, bundles, type OpenBundle, removeBundle, settingsOf } from "../state/bundles.ts";
import { addBundleFiles } from "../state/dropped.ts";
import { failureOf } from "../state/failure.ts";
import { chosen, model } from "../state/model.ts";
import { server } from "../state/server.ts";
import { addFromShelf, shelf } from "../state/shelf.ts";
import { prompt } from "./run.ts";
import { addFromLink } from "./share.ts";
import { StageCard } from "./stage-card.tsx";
import { conceptOf } from "./words.ts";

export function StagesCard() {
  return (
    <>
      {server.value && bundles.value.length > 0 && (
        <p class="soft small">With a server, a slider acts on the next run: Generate again.</p>
      )}
      {bundles.value.map((open) => (
        <BundleCard key={open.sha256} open={open} />
      ))}
      <section class="card stack" aria-label="Bundles">
        <h2>{bundles.value.length > 0 ? "Add another bundle" : "Add a bundle"}</h2>
        <p class="soft small">A bundle is one file that says what to change inside the model while it runs.</p>
        <div class="row">
          <FileButton label="Add bundle" accept=".safetensors" multiple onFiles={(files) => void addBundleFiles(files)}>
            From a file…
          </FileButton>
        </div>
        {!server.value && <LinkForm />}
        {bundleFailure.value && <FailureNotice failure={bundleFailure.value} />}
        {server.value ? <ServerShelf server={server.value} /> : <Shelf />}
      </section>
    </>
  );
}

function LinkForm() {
  const address = useSignal("");
  return (
    <form
      class="row end"
      onSubmit={(event) => {
        event.preventDefault();
        const text = address.value.trim();
        if (text === "") return;
        bundleFailure.value = null;
        addFromLink(text).then(
          (added) => {
            if (added) address.value = "";
          },
          (error: unknown) => {
            bundleFailure.value = failureOf(error, text);
          },
        );
      }}
    >
      <label class="field" style={{ flex: "1 1 9rem" }}>
        <span>Bundle address</span>
        <input
          type="url"
          placeholder="https://…/bundle.safetensors"
          value={address.value}
          onInput={({ currentTarget }) => {
            address.value = currentTarget.value;
          }}
        />
      </label>
      <button type="submit" class="button">
        Add
      </button>
    </form>
  );
}

function Shelf() {
  const id = chosen.value?.id;
  const entries = shelf.value.filter((entry) =>
    id === undefined ? entry.model === "gpt2-stories" : entry.model === id,
  );
  const isOpen = (entry: string) => bundles.value.some(({ origin }) => origin.kind === "shelf" && origin.id === entry);
  if (entries.length === 0) return null;
  return (
    <div>
      <h3>Ready for {id ?? "gpt2-stories"}</h3>
      <ul class="shelf">
        {entries.map((entry) => (
          <li key={entry.id}>
            <strong>{entry.title}</strong>
            <button
              type="button"
              class="button small"
              aria-label={`Add ${entry.title}`}
              disabled={model.value === null || isOpen(entry.id)}
              onClick={() => {
                void addFromShelf(entry.id);
                if (entry.prompt !== undefined && prompt.value.trim() === "") prompt.value = entry.prompt;
              }}
            >
              {isOpen(entry.id) ? "Added" : "Add"}
            </button>
            <p title={entry.origin}>{entry.says}</p>
          </li>
        ))}
      </ul>
    </div>
  );
}

function BundleCard({ open }: { readonly open: OpenBundle }) {
  const { manifest } = open;
  const concept = conceptOf(open.shelf, manifest.fit);
  return (
    <section class="card stack" aria-label={open.title}>
      <div class="row spread">
        <h2>{open.shelf?.title ?? manifest.name}</h2>
        <button
          type="button"
          class="button small quiet"
          aria-label={`Remove ${open.title}`}
          onClick={() => removeBundle(open.sha256)}
        >
          Remove
        </button>
      </div>
      {settingsOf(open).map((stage) => (
        <StageCard key={stage.id} stage={stage} concept={concept} />
      ))}
    </section>
  );
}
