/** The session that a chat goes on in: what both sides said stays in its cache from turn to turn. */
import type { StageChange } from "sluice";
import type { WorkerModel, WorkerSession } from "../engine.ts";
import { bundleInputs, bundles, changeOf, composeSettings, hasStages, settings } from "../state/bundles.ts";
import { EDITED, PLAIN } from "../steer/pair.ts";

export interface Talk {
  readonly model: WorkerModel;
  /** The same model with its stages; null without a bundle: both sides are one then. */
  readonly edited: WorkerModel | null;
  readonly session: WorkerSession;
  /** Tokens that end an answer. */
  readonly ends: ReadonlySet<number>;
}

interface OpenTalk extends Talk {
  readonly bundles: typeof bundles.value;
}

let open: OpenTalk | null = null;

/** Frees the session. What was said stays on the page, and is computed again if the chat goes on. */
export function closeTalk(): void {
  open?.session.dispose();
  open?.edited?.dispose();
  open = null;
}

/** The session of this model and these bundles, with its stages as the sliders are. */
export async function openTalk(model: WorkerModel, signal: AbortSignal): Promise<Talk> {
  if (open?.model !== model || open.bundles !== bundles.value) {
    closeTalk();
    const edited = hasStages.value ? await model.with(bundleInputs(), composeSettings()) : null;
    const session = await (edited ?? model).session({ sequences: edited ? 2 : 1, signal });
    open = { model, edited, session, ends: await endsOf(model), bundles: bundles.value };
  }
  const { edited, session } = open;
  for (const stage of edited ? settings.value : []) {
    await session.set(stage.id, { strength: 0 }, { sequence: PLAIN });
    // What has changed since the last turn acts on all that was said; what has not costs nothing.
    await session.set(stage.id, changeOf(stage), { sequence: EDITED });
  }
  return open;
}

/** The stages as they are set, for comparing tokens. */
export function changesNow(): ReadonlyMap<string, StageChange> {
  return new Map(settings.value.map((stage) => [stage.id, changeOf(stage)]));
}

/** Those of generation_config.json are not enough: many folders have none. */
async function endsOf({ config, tokenizer }: WorkerModel): Promise<ReadonlySet<number>> {
  const after = await tokenizer?.tokenAfterAnswer();
  const ids = [...config.eos_token_ids, tokenizer?.eosTokenId, after];
  // A tokenizer may know ids that the model has no row for; the model never generates these.
  return new Set(ids.filter((id) => id !== undefined && id < config.vocab_size) as number[]);
}
