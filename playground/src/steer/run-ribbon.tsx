/** Says what the two texts below are: recorded, live, from a link, or in trouble. */
import { FailureNotice } from "../parts/notice.tsx";
import { loading, modelFailure, openModel } from "../state/model.ts";
import { addFromShelf } from "../state/shelf.ts";
import { generate, isChat, prompt, recorded, sampling } from "./run.ts";
import { runFailure, runState } from "./run-state.ts";
import { follow, linkFailure, linkNotice, waiting } from "./share.ts";

export function RunRibbon() {
  const run = recorded.value;
  const link = waiting.value;
  return (
    <>
      {runState.value === "recorded" && run && (
        <div class="ribbon">
          <span>
            <strong>Recorded run.</strong> {run.model}, plain and with the <em>Shakespeare dial</em>, as{" "}
            <code>scripts/playground-shelf.ts</code> recorded it on {run.date.slice(0, 10)} ({run.device}).
          </span>
          <button
            type="button"
            class="button small primary"
            disabled={loading.value !== null}
            onClick={() => void runLive()}
          >
            Run it live
          </button>
        </div>
      )}
      {link && (
        <div class="ribbon">
          <span>
            This link asks for the model <strong>{link.model}</strong>
            {link.bundles.length > 0 && <> and {link.bundles.map(({ title }) => title).join(", ")}</>}{" "}
            {link.server === undefined ? (
              "from another host."
            ) : (
              <>
                of the server <strong>{link.server}</strong>. If it needs a key, connect first.
              </>
            )}
          </span>
          <button type="button" class="button small primary" onClick={() => void follow(link)}>
            Fetch and run
          </button>
        </div>
      )}
      {linkNotice.value && (
        <div class="ribbon" role="status">
          <span>{linkNotice.value}</span>
        </div>
      )}
      {linkFailure.value && <FailureNotice failure={linkFailure.value} />}
      {runFailure.value && !isChat.value && <FailureNotice failure={runFailure.value} />}
    </>
  );
}

/** The recorded run again, here. */
async function runLive(): Promise<void> {
  const run = recorded.value;
  if (!run) return;
  await openModel({ kind: "small", id: run.model });
  if (modelFailure.value) return;
  prompt.value = run.prompt;
  sampling.value = run.settings;
  if (await addFromShelf(run.bundle)) await generate();
}
