/** Edits so strong that the stream leaves float32: an error that names where, never other numbers. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Composition } from "../../src/interventions/stage.ts";
import { referenceForward } from "../reference/forward.ts";
import { openReference } from "../reference/open.ts";
import { assertClose } from "../support/closeness.ts";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";
import { refusalOf } from "../support/refusal-code.ts";
import { dampStage, pushStage } from "../support/stages.ts";

const FOLDER = "test/golden/gpt2-tiny";
const PROMPT = [65, 7, 28, 64, 1];
const push = pushStage(Float32Array.from({ length: 48 }, (_, i) => Math.sin(i * 1.7)));
const of = (...stages: Composition["stages"]): Composition => ({ stages, warnings: [] });
const model = await load(location(FOLDER));

test("a stage that overflows the stream is named by the site, whichever way the model is run", async () => {
  const edited = model.withStages(of({ ...push, strength: 1e20 }));
  const ways: readonly (() => Promise<unknown>)[] = [
    () => edited.generate(PROMPT, { maxNewTokens: 2 }).result(),
    () => edited.generate(PROMPT, { maxNewTokens: 2, temperature: 1, seed: 1 }).result(),
    () => edited.logits(PROMPT),
    () => edited.logits(PROMPT, { last: true }),
    () => edited.perplexity([PROMPT]),
    () => edited.compare(PROMPT, { maxNewTokens: 1 }),
  ];
  for (const way of ways) {
    const { code, message, hint } = await refusalOf(way);
    assert.is(code, "non_finite");
    assert.match(message, /resid_pre\.2 leaves float32/);
    assert.match(hint ?? "", /strengths/);
  }
});

test("so is one that a later norm meets, which no stage edits", async () => {
  const scale = new Float32Array(192).fill(1e25);
  const big = { ...dampStage(192, 0), site: "mlp_post", values: new Map([[0, { scale }]]) } as Composition["stages"][0];
  const { message } = await refusalOf(() => model.withStages(of(big)).logits(PROMPT));
  assert.match(message, /resid_pre\.1 leaves float32/);
});

test("below that the logits are those of float64", async () => {
  const { config, weights } = await openReference(location(FOLDER));
  for (const strength of [1e6, 1e12, 1e17]) {
    const composition = of({ ...push, strength });
    const { data } = await model.withStages(composition).logits(PROMPT);
    const { logits } = referenceForward(weights, config, composition, { tokens: PROMPT });
    assertClose(data, Float32Array.from(logits), `strength ${strength}`);
  }
});

test("directions, references and rows of any scale edit as in float64", async () => {
  const { config, weights } = await openReference(location(FOLDER));
  const wave = (k: number, length: number, scale: number) =>
    Float32Array.from({ length }, (_, i) => scale * Math.sin(i * k + 0.3));
  const affine = (
    method: "directional_ablation" | "ace" | "low_rank",
    values: Record<string, Float32Array>,
    gate = "identity",
  ) => of({ ...push, method, gate, values: new Map([[1, values]]) } as Composition["stages"][0]);
  const full = (value: number) => new Float32Array(192).fill(value);
  const neurons = (id: string, values: Record<string, Float32Array>) =>
    ({ ...dampStage(192), id, values: new Map([[1, values]]) }) as Composition["stages"][0];
  const cases: Readonly<Record<string, Composition>> = {
    "a direction of subnormals": affine("directional_ablation", { direction: wave(1.7, 48, 1e-40) }),
    "a huge direction": affine("directional_ablation", { direction: wave(1.7, 48, 1e38) }),
    "a tiny direction with a reference": affine("ace", {
      direction: wave(1.7, 48, 1e-40),
      reference: wave(0.7, 48, 1),
    }),
    "huge rows of V, tiny ones of U": affine("low_rank", { v: wave(1.7, 96, 1e38), u: wave(0.7, 96, 1e-40) }),
    "the other way round, above thresholds": affine(
      "low_rank",
      { v: wave(1.7, 96, 1e-40), u: wave(0.7, 96, 1e38), c: wave(1, 2, 1e-40) },
      "relu",
    ),
    "scales that multiply to 1": of(neurons("down", { scale: full(1e-18) }), neurons("up", { scale: full(1e18) })),
    "activations far below 0": of(neurons("low", { shift: full(-1e38) })),
  };
  for (const [name, composition] of Object.entries(cases)) {
    const { data } = await model.withStages(composition).logits(PROMPT);
    const { logits } = referenceForward(weights, config, composition, { tokens: PROMPT });
    assertClose(data, Float32Array.from(logits), name);
  }
});

test("in the middle of a session: an error, then the session goes on as if nothing had been", async () => {
  const session = await model.withStages(of(push)).session({ context: 48 });
  const before = await session.generate(PROMPT, { maxNewTokens: 30 }).result();
  let seen = 0;
  const { message } = await refusalOf(async () => {
    for await (const _ of session.generate(PROMPT, { maxNewTokens: 30 })) {
      if (++seen === 2) session.set("push", { strength: 1e20 }, { cache: "continue" });
    }
  });
  assert.match(message, /position \d+ of sequence 0 .*resid_pre\.2 leaves float32/);
  session.set("push", { strength: 1 }, { cache: "continue" });
  const after = await session.generate(PROMPT, { maxNewTokens: 30 }).result();
  assert.equal(after.tokens, before.tokens);
  session.dispose();
});

test("in a batch the other sequences' values are their own", async () => {
  const session = await model.withStages(of(push)).session({ context: 16, sequences: 2 });
  session.set("push", { strength: 1e20 }, { sequence: 1 });
  const { message } = await refusalOf(() => session.generateBatch([PROMPT, PROMPT], { maxNewTokens: 4 }));
  assert.match(message, /sequence 1 .*resid_pre\.2/);
  const alone = await model.withStages(of(push)).generate(PROMPT, { maxNewTokens: 4 }).result();
  assert.equal((await session.generate(PROMPT, { maxNewTokens: 4 }).result()).tokens, alone.tokens);
  session.dispose();
});

test.after(() => model.dispose());

test.run();
