/** Checks of bundles: what they run, that they hold where they were measured, and that they notice what changed. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type BundleCheck, checkBundle, type Model, sealBundle } from "../../src/index.ts";
import type { Manifest } from "../../src/interventions/manifest.ts";
import { checkPrompts } from "../../src/model/check-prompts.ts";
import type { Tokenizer } from "../../src/tokenizer/tokenizer.ts";
import { refusal } from "../formats/refusal.ts";
import { bundleOf, filled } from "../interventions/model-configs.ts";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";

const push = (more: object = {}) => ({
  id: "push",
  kind: "affine",
  method: "addition",
  site: "resid_post",
  layers: [0],
  positions: "generated",
  ...more,
});

const pushing = ({ config }: Model, more: object = {}, value = 2) =>
  bundleOf(config, [push(more)], { "push.0.direction": filled([config.hidden_size], value) });

const run = (model: Model, bundle: Parameters<Model["with"]>[0][0]) => {
  const edited = model.with([bundle]);
  return async (tokens: readonly number[], promptLength: number) =>
    (await edited.logits(tokens, { promptLength, last: true })).data;
};

test("three checks that hold where they were measured, the same each time, in place of others", async () => {
  const model = await load(location("weights/stories260K"));
  const bundle = pushing(model);
  const stale: BundleCheck = { tokens: [1], top: [[2, 99]], atol: 0.1 };
  const first = await sealBundle(model, { ...bundle, manifest: { ...bundle.manifest, checks: [stale] } });
  const checks = first.manifest.checks ?? [];
  assert.equal(
    checks.map(({ top }) => top.length),
    [5, 5, 5],
  );
  assert.is(new Set(checks.map(({ tokens }) => tokens.join())).size, 3);
  assert.ok((await checkBundle(checks, run(model, first))).every(({ passed }) => passed));
  assert.equal((await sealBundle(model, first)).manifest.checks, checks);
  // The stage acts on generated tokens alone, which two of the checks have.
  const without = await checkBundle(checks, run(model, pushing(model, { strength: 0 })));
  assert.equal(
    without.map(({ passed }) => passed),
    [true, false, false],
  );
  model.dispose();
});

test("a model without a tokenizer and with a short context; values that leave float32", async () => {
  const model = await load(location("weights/gpt-nano-sort"));
  const notices: string[] = [];
  const bundle = await sealBundle(model, pushing(model, { positions: [-3] }));
  assert.ok((await checkBundle(bundle.manifest.checks ?? [], run(model, bundle))).every(({ passed }) => passed));
  assert.equal(notices, []);
  await refusal("non_finite", () => sealBundle(model, pushing(model, { strength: 1e30 }, 1e8)), "too strong");
  model.dispose();
});

const config = { vocab_size: 61, max_position_embeddings: 200 };

test("the last prompt has what stages act on: listed tokens, late positions, a conversation", () => {
  const promptsOf = (positions: unknown, fit = {}, tokenizer: Tokenizer | null = null) =>
    checkPrompts(config, tokenizer, { stages: [push({ positions })], fit } as unknown as Manifest);
  const listed = promptsOf({ any: [{ tokens: [33] }, "generated"] });
  assert.ok(listed[2]?.tokens.includes(33));
  assert.not.ok(listed[1]?.tokens.includes(33));
  const late = promptsOf({ from: 100 });
  assert.ok((late[2]?.tokens.length ?? 0) > 100 && (late[1]?.tokens.length ?? 0) < 10);
  // Beyond the context nothing acts, and the prompt stays short.
  assert.ok((promptsOf({ from: 300 })[2]?.tokens.length ?? 0) < 10);
  const tokenizer = {
    encode: (text: string) => Array.from(text, (character) => character.charCodeAt(0) % 61),
    applyChatTemplate: ([message]: readonly { readonly content?: unknown }[]) => `<user>${message?.content}<bot>`,
  } as unknown as Tokenizer;
  const plain = promptsOf("all", {}, tokenizer);
  const chat = promptsOf("all", { chat: true }, tokenizer);
  assert.equal(chat.slice(0, 2), plain.slice(0, 2));
  assert.equal(chat[2]?.tokens, tokenizer.encode("<user>Name a color.<bot>"));
});

test.run();
