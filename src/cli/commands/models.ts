/** `sluice models list`, `remove` and `verify`: what the cache holds. */
import { SluiceError } from "../../errors.ts";
import type { FoundModel } from "../../hub/cached-models.ts";
import type { NodeCache } from "../../hub/node-cache.ts";
import type { CachedModel } from "../../hub/store.ts";
import type { VerifiedFile } from "../../hub/verify.ts";
import { left, right, table } from "../columns.ts";
import { argumentList, defineCommand, optionalArgument } from "../command.ts";
import type { CommandContext } from "../context.ts";
import { flag } from "../options.ts";
import { formatSize } from "../pace.ts";

export const modelsList = defineCommand({
  name: "models list",
  summary: "List the models in the cache: sizes, last use, where",
  description: [
    "Lists what Hugging Face's cache holds, whoever fetched it: each model with its branches or commits, its size, when a " +
      "file of it was last used, what unfinished downloads hold, and its folder.",
  ],
  positionals: {},
  options: { json: flag("Print one JSON object with cache and models") },
  examples: [{ line: "models list", shows: "What is there?" }],
  async run({ json }, { stdout }) {
    const cache = await theCache();
    const models = await cache.models();
    if (json) {
      stdout.write(`${JSON.stringify({ cache: cache.label, models: models.map(reported) })}\n`);
      return;
    }
    if (models.length === 0) {
      stdout.write(`${cache.label} holds no models. \`sluice pull org/name\` fetches one.\n`);
      return;
    }
    const rows = models.map((model) => [
      model.repo,
      model.revisions.map(({ commit, refs }) => refs.join(", ") || commit.slice(0, 8)).join(", ") || "–",
      formatSize(model.bytes),
      model.partialBytes > 0 ? formatSize(model.partialBytes) : "–",
      model.lastUsed?.toISOString().slice(0, 16).replace("T", " ") ?? "–",
      model.where,
    ]);
    const columns = [
      left("model"),
      left("revisions"),
      right("size"),
      right("unfinished"),
      left("last used"),
      left("where"),
    ];
    stdout.write(table(columns, rows));
    const total = models.reduce((sum, { bytes, partialBytes }) => sum + bytes + partialBytes, 0);
    stdout.write(`${models.length} ${models.length === 1 ? "model" : "models"}, ${formatSize(total)}\n`);
  },
});

export const modelsRemove = defineCommand({
  name: "models remove",
  summary: "Remove models from the cache",
  description: [
    "Removes a model with everything that was fetched of it, also by Python's tools; or with @revision that revision " +
      "alone, with the files that no other revision has.",
  ],
  positionals: { ids: argumentList("models as `sluice models list` names them: org/name or org/name@revision") },
  options: {},
  examples: [{ line: "models remove openai-community/gpt2", shows: "Room for another one:" }],
  async run({ ids }, { stdout }) {
    const cache = await theCache();
    const models = await cache.models();
    const { findCached } = await import("../../hub/cached-models.ts");
    const chosen = ids.map((id) => findCached(id, cache, models));
    for (const [i, { model, commit }] of chosen.entries()) {
      const freed = await cache.remove(model.repo, commit);
      stdout.write(`${ids[i]}: ${formatSize(freed)} freed\n`);
    }
  },
});

export const modelsVerify = defineCommand({
  name: "models verify",
  summary: "Check that the files in the cache are what the hub said",
  description: [
    "Computes the digest of every file anew and compares it with the one that the hub named it by. A wrong file is named " +
      "and thrown away, so that the next command that needs it fetches it again. Exits with 1 if there was one.",
  ],
  positionals: { id: optionalArgument("a model as `sluice models list` names it; without one, all are checked") },
  options: { json: flag("Print one JSON object with files and wrong") },
  examples: [{ line: "models verify openai-community/gpt2", shows: "Is it whole?" }],
  async run({ id, json }, context) {
    const { stdout } = context;
    const cache = await theCache();
    const all = await cache.models();
    const { findCached } = await import("../../hub/cached-models.ts");
    const chosen = id === undefined ? all : [only(findCached(id, cache, all))];
    const files = await verifyAll(cache, chosen, context);
    const wrong = files.filter(({ state }) => state === "wrong");
    if (json) stdout.write(`${JSON.stringify({ cache: cache.label, files, wrong: wrong.length })}\n`);
    else for (const line of summary(files)) stdout.write(`${line}\n`);
    if (wrong.length === 0) return;
    const names = wrong.map(({ repo, path }) => `${repo}/${path}`).join(", ");
    throw new SluiceError("bad_file", `${names} ${wrong.length === 1 ? "was" : "were"} wrong and thrown away`, {
      hint: "`sluice pull` fetches what is missing.",
    });
  },
});

async function theCache(): Promise<NodeCache> {
  const { openCache } = await import("../../hub/node-hub.ts");
  return openCache();
}

/** The model with the chosen revision alone. */
function only({ model, commit }: FoundModel): CachedModel {
  if (commit === undefined) return model;
  return { ...model, revisions: model.revisions.filter((revision) => revision.commit === commit) };
}

async function verifyAll(
  cache: NodeCache,
  models: readonly CachedModel[],
  { progress, signal }: CommandContext,
): Promise<readonly VerifiedFile[]> {
  const { verifyModel } = await import("../../hub/verify.ts");
  const total = models.reduce((sum, { bytes }) => sum + bytes, 0);
  let done = 0;
  const onBytes = (bytes: number): void => {
    done += bytes;
    progress.count("verifying", { done: Math.min(done, total), total, unit: "bytes" });
  };
  const files: VerifiedFile[] = [];
  const work = async (): Promise<void> => {
    for (const model of models) files.push(...(await verifyModel(cache, model, signal, onBytes)));
  };
  await progress.during("verifying", work());
  return files;
}

function summary(files: readonly VerifiedFile[]): readonly string[] {
  const lines = files
    .filter(({ state }) => state !== "right")
    .map(({ repo, path, commit, state, why }) => {
      const what = state === "wrong" ? `wrong: ${why}` : "its name is no digest, so it cannot be checked";
      return `${repo}/${path} at ${commit.slice(0, 8)}: ${what}`;
    });
  const right_ = files.filter(({ state }) => state === "right");
  const bytes = right_.reduce((sum, file) => sum + file.bytes, 0);
  return [...lines, `${right_.length} of ${files.length} files are right, ${formatSize(bytes)}`];
}

/** JSON spells names as reports do. */
function reported({ repo, where, bytes, partialBytes, lastUsed, revisions }: CachedModel): object {
  return { id: repo, path: where, bytes, partial_bytes: partialBytes, last_used: lastUsed, revisions };
}
