/** Positions in sessions: which role a token has from call to call, and what of the cache holds then. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Model, Session } from "../../src/index.ts";
import type { Positions } from "../../src/interventions/positions.ts";
import type { Composition } from "../../src/interventions/stage.ts";
import { referenceForward } from "../reference/forward.ts";
import { openReference } from "../reference/open.ts";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";
import { codeOf } from "../support/refusal-code.ts";
import { dampStage, pushStage } from "../support/stages.ts";

const FOLDER = "test/golden/gpt2-tiny";
const PROMPT = [65, 7, 28, 64, 1, 66, 100, 2];
const WIDTH = 48;

/** Strong enough to turn the greedy choice. */
const push = pushStage(Float32Array.from({ length: WIDTH }, (_, i) => 4 * Math.sin(i * 1.7)));
const pushAt = (positions: Positions): Composition =>
  ({ stages: [{ ...push, positions }], warnings: [] }) as Composition;

const FORMS: readonly Positions[] = [
  "prompt",
  "generated",
  "last_prompt_onward",
  [0, -1, -3],
  { from: -4, to: -1 },
  { from: 2, to: "P" },
  { tokens: [7, 100, 64, 3] },
  { any: [[-2], { not: { any: ["prompt", { tokens: [1, 7, 64] }] } }] },
];

let shared: Promise<Model> | undefined;
const open = (): Promise<Model> => (shared ??= load(location(FOLDER), { plan: "reference" }));

const fresh = async (positions: Positions, prompt: readonly number[], promptLength: number, maxNewTokens = 6) =>
  (await open()).withStages(pushAt(positions)).generate(prompt, { maxNewTokens, promptLength }).result();

for (const positions of FORMS) {
  const name = JSON.stringify(positions);

  test(`${name}: a later call's prompt length counts for what is cached too`, async () => {
    const session = await (await open()).withStages(pushAt(positions)).session({ context: 40 });
    let prompt = PROMPT;
    for (const promptLength of [8, 3, 5, 8]) {
      const later = await session.generate(prompt, { maxNewTokens: 6, promptLength }).result();
      assert.equal(later.tokens, (await fresh(positions, prompt, promptLength)).tokens, `P = ${promptLength}`);
      prompt = [...prompt, later.tokens[0] as number];
    }
    session.dispose();
  });

  test(`${name}: a conversation goes on as if it had been one call`, async () => {
    const whole = await fresh(positions, PROMPT, PROMPT.length, 12);
    const session = await (await open()).withStages(pushAt(positions)).session({ context: 40 });
    const said: number[] = [];
    for (const turn of [1, 2, 3]) {
      const { tokens, reused_tokens } = await session.generate([...PROMPT, ...said], { maxNewTokens: 4 }).result();
      // What was computed stays, and is computed again under the same roles where a stage was changed.
      assert.is(reused_tokens, turn === 1 || turn === 3 ? 0 : PROMPT.length + said.length - 1);
      said.push(...tokens);
      if (turn !== 2) continue;
      session.set("push", { strength: 0.5 });
      session.set("push", { strength: 1 });
    }
    // For positions that say nothing of generated tokens, each call's new P must make no difference.
    if (!isRelative(positions)) assert.equal(said, whole.tokens);
    session.dispose();
  });
}

/** Do positions mean other tokens in the second of two calls than in one call of both? */
function isRelative(positions: Positions): boolean {
  return (
    positions !== "prompt" && positions !== "generated" && !(typeof positions === "object" && "tokens" in positions)
  );
}

test("a prompt that does not continue the conversation has roles of its own", async () => {
  const other = [...PROMPT.slice(0, 6), 5, 9, 11];
  for (const positions of FORMS) {
    const session = await (await open()).withStages(pushAt(positions)).session({ context: 40 });
    const first = await session.generate(PROMPT, { maxNewTokens: 8 }).result();
    for (const prompt of [other, [...PROMPT, ...first.tokens.slice(0, 3), 5], PROMPT.slice(0, 4)]) {
      const { tokens } = await session.generate(prompt, { maxNewTokens: 6 }).result();
      assert.equal(tokens, (await fresh(positions, prompt, prompt.length)).tokens, JSON.stringify(positions));
    }
    session.dispose();
  }
});

test("an answer asked for again is the same, after several turns too", async () => {
  const session = await (await open()).withStages(pushAt("generated")).session({ context: 40 });
  const first = await session.generate(PROMPT, { maxNewTokens: 4 }).result();
  const turn = [...PROMPT, ...first.tokens, 9, 11];
  const answer = await session.generate(turn, { maxNewTokens: 6 }).result();
  const again = await session.generate(turn, { maxNewTokens: 6 }).result();
  assert.equal(again.tokens, answer.tokens);
  assert.is(again.reused_tokens, turn.length - 1);
  session.dispose();
});

test("positions change while a session runs, in each sequence on its own, and grow without bounds that anyone meets", async () => {
  const plain = await open();
  const edited = plain.withStages(pushAt("all"));
  const long = Array.from({ length: 3000 }, (_, i) => i).filter((i) => i % 3 !== 1);
  const forms: readonly Positions[] = ["generated", long, { not: { tokens: [7, 64, 2] } }, [-1, 0]];
  const session = await edited.session({ context: 40, sequences: forms.length });
  await session.generateBatch(
    forms.map(() => PROMPT),
    { maxNewTokens: 2 },
  );
  for (const [sequence, positions] of forms.entries()) session.set("push", { positions }, { sequence });
  assert.equal(session.stage("push", 1).positions, long);
  const batch = await session.generateBatch(
    forms.map((_, i) => PROMPT.slice(i)),
    { maxNewTokens: 6 },
  );
  for (const [i, positions] of forms.entries()) {
    const prompt = PROMPT.slice(i);
    assert.equal(batch[i]?.tokens, (await fresh(positions, prompt, prompt.length)).tokens, `sequence ${i}`);
  }
  session.dispose();
});

test("a change of positions between two tokens is reported, and acts from there", async () => {
  const session = await (await open()).withStages(pushAt({ tokens: [7] })).session({ context: 40 });
  const generation = session.generate(PROMPT, { maxNewTokens: 24 });
  let seen = 0;
  const positions = [0, 2, -1];
  for await (const _ of generation) {
    if (++seen !== 2) continue;
    session.set("push", { positions });
    // The list is the caller's again.
    positions.fill(5);
  }
  const { tokens, changes } = await generation.result();
  const first = changes[0]?.first_token ?? 0;
  assert.equal(changes, [{ id: "push", positions: [0, 2, -1], first_token: first }]);
  const prompt = [...PROMPT, ...tokens.slice(0, first)];
  const rest = await fresh([0, 2, -1], prompt, PROMPT.length, 24 - first);
  assert.equal(tokens.slice(first), rest.tokens);
  session.dispose();
});

test("positions that make no sense are refused, and nothing changes", async () => {
  const plain = await open();
  const mask = { id: "edges", kind: "edge_mask", destinations: "heads", attn_bias: "per_head", strength: 1 } as const;
  const replace = { attn: "zero", mlp: "zero", logits: "zero" } as const;
  const edges = [{ destination: 1, source: 0, value: 0 }];
  const stages = [...pushAt("prompt").stages, { ...mask, replace, edges }];
  const session = await plain.withStages({ stages, warnings: [] }).session({ context: 40 });
  const bad: readonly unknown[] = [
    [],
    [0.5],
    { tokens: [500] },
    { from: 3, to: 1 },
    { not: "all" },
    "promt",
    new Map(),
  ];
  for (const positions of bad) {
    assert.is(await codeOf(() => session.set("push", { positions: positions as Positions })), "usage");
  }
  assert.is(await codeOf(() => session.set("edges", { positions: [0] })), "usage");
  assert.is(session.stage("push").positions, "prompt");
  session.dispose();
});

test("decoding with conditions on tokens says what float64 says, step by step", async () => {
  const plain = await open();
  const { config, weights } = await openReference(location(FOLDER));
  const damp = { ...dampStage(192), id: "damp", positions: { not: { tokens: [2, 64, 28] } } as Positions };
  const composition = {
    stages: [{ ...push, positions: { any: [{ tokens: [7, 66, 31, 12, 90] }, [-1, 11]] } as Positions }, damp],
    warnings: [],
  } as Composition;
  const { tokens } = await plain.withStages(composition).generate(PROMPT, { maxNewTokens: 10 }).result();
  const all = [...PROMPT, ...tokens];
  const run = { tokens: all, promptLength: PROMPT.length };
  const { logits } = referenceForward(weights, config, composition, run);
  for (const [i, token] of tokens.entries()) {
    const row = logits.subarray((PROMPT.length - 1 + i) * config.vocab_size, (PROMPT.length + i) * config.vocab_size);
    const best = Math.max(...row);
    assert.ok((row[token] as number) >= best - 1e-3 * Math.abs(best), `token ${i}`);
  }
});

test("what a session's positions miss is reported once", async () => {
  const notices: string[] = [];
  const plain = await load(location(FOLDER), { onNotice: (text) => notices.push(text) });
  const session: Session = await plain.withStages(pushAt([0, -20])).session({ context: 40 });
  for (let i = 0; i < 2; i++) await session.generate(PROMPT, { maxNewTokens: 2 }).result();
  const [notice = "", ...others] = notices.filter((text) => text.includes('"push"'));
  assert.match(notice, /counts back 20/);
  assert.equal(others, []);
  plain.dispose();
});

test.after(async () => (await open()).dispose());

test.run();
