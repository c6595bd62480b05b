/** Stages that change while a session runs: when a change acts, what becomes of the cache, and what it costs. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Model, Session } from "../../src/index.ts";
import type { Composition, Stage } from "../../src/interventions/stage.ts";
import { testDevice } from "../support/device.ts";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";
import { codeOf } from "../support/refusal-code.ts";
import { pushStage } from "../support/stages.ts";
import { sharedOut } from "../support/turns.ts";

const inTurn = sharedOut(test);

const FOLDER = "test/golden/gpt2-tiny";
const PROMPT = [65, 7, 28, 64, 1, 66, 100, 2];
const WIDTH = 48;

/** One stage of each kind, strong enough to turn the greedy choice. */
function composition(overrides: { readonly [id: string]: number } = {}): Composition {
  const wave = (length: number, phase: number, size: number) =>
    Float32Array.from({ length }, (_, i) => size * Math.sin(i * 1.7 + phase));
  const stages: readonly Stage[] = [
    pushStage(wave(WIDTH, 0, 3)),
    {
      id: "neurons",
      kind: "neuron_scale",
      site: "mlp_post",
      layers: [0, 2],
      positions: "all",
      strength: 1,
      values: new Map([0, 2].map((layer) => [layer, { scale: wave(192, layer, 2) }])),
    },
    {
      id: "edges",
      kind: "edge_mask",
      destinations: "heads",
      attn_bias: "per_head",
      replace: { attn: "constants", mlp: "constants", logits: "constants" },
      // embed → blocks.0.head.1, blocks.0.mlp → blocks.1.mlp
      edges: [
        { destination: 1, source: 0, value: 0 },
        { destination: 9, source: 5, value: 0.25 },
      ],
      strength: 1,
    },
  ];
  return {
    stages: stages.map((stage) => ({ ...stage, strength: overrides[stage.id] ?? stage.strength })),
    warnings: [],
  };
}

async function withModel(use: (plain: Model) => Promise<void>): Promise<void> {
  const plain = await load(location(FOLDER), { plan: "reference" });
  try {
    await use(plain);
  } finally {
    plain.dispose();
  }
}

const OPTIONS = { maxNewTokens: 24 } as const;

/** Generates, calling `between` with the number of tokens that have been seen. */
async function generate(session: Session, between: (seen: number) => void = () => undefined) {
  const generation = session.generate(PROMPT, OPTIONS);
  let seen = 0;
  for await (const _ of generation) between(++seen);
  return generation.result();
}

inTurn("a change acts from the next submit, and the result names the first token it acted on", () =>
  withModel(async (plain) => {
    const session = await plain.withStages(composition()).session({ context: 40 });
    const before = await generate(session);
    const changed = await generate(session, (seen) => {
      if (seen === 3) session.set("push", { alpha: -2 }, { cache: "continue" });
    });
    assert.is(changed.changes.length, 1);
    const { id, alpha, first_token } = changed.changes[0] as (typeof changed.changes)[number];
    assert.equal({ id, alpha }, { id: "push", alpha: -2 });
    assert.ok(first_token >= 3 && first_token < OPTIONS.maxNewTokens, `acted from token ${first_token}`);
    assert.equal(changed.tokens.slice(0, first_token), before.tokens.slice(0, first_token));

    // By hand: what came before under the old values, the rest under the new ones on the same cache.
    const other = await plain.withStages(composition()).session({ context: 40 });
    const start = await other.generate(PROMPT, { maxNewTokens: first_token }).result();
    other.set("push", { alpha: -2 }, { cache: "continue" });
    const rest = await other
      .generate([...PROMPT, ...start.tokens], { maxNewTokens: OPTIONS.maxNewTokens - first_token })
      .result();
    assert.equal(changed.tokens, [...start.tokens, ...rest.tokens]);
    session.dispose();
    other.dispose();
  }),
);

inTurn("recomputed, the cache is that of the new values from the first token on", () =>
  withModel(async (plain) => {
    const session = await plain.withStages(composition()).session({ context: 40 });
    const changed = await generate(session, (seen) => {
      if (seen === 2) session.set("edges", { edges: [["embed", "blocks.0.head.1", 1]] });
    });
    const first = changed.changes[0]?.first_token ?? 0;
    const fresh = await plain.withStages(composition()).session({ context: 40 });
    fresh.set("edges", { edges: [["embed", "blocks.0.head.1", 1]] });
    const prompt = [...PROMPT, ...changed.tokens.slice(0, first)];
    const rest = await fresh.generate(prompt, { maxNewTokens: OPTIONS.maxNewTokens - first }).result();
    assert.equal(changed.tokens.slice(first), rest.tokens);
    session.dispose();
    fresh.dispose();
  }),
);

inTurn("all stages off is the plain model, and they can be turned on again", () =>
  withModel(async (plain) => {
    const edited = plain.withStages(composition());
    const own = await plain.generate(PROMPT, OPTIONS).result();
    const strong = await edited.generate(PROMPT, OPTIONS).result();
    assert.not.equal(own.tokens, strong.tokens);
    const session = await edited.session({ context: 40 });
    for (const { id } of edited.stages) session.set(id, { strength: 0 });
    assert.equal((await generate(session)).tokens, own.tokens);
    for (const { id } of edited.stages) session.set(id, { strength: 1 });
    assert.equal((await generate(session)).tokens, strong.tokens);
    session.dispose();
    const logits = await plain.withStages(composition({ push: 0, neurons: 0, edges: 0 })).logits(PROMPT);
    assert.equal(logits.data, (await plain.logits(PROMPT)).data);
  }),
);

inTurn("tensors change in place", () =>
  withModel(async (plain) => {
    const session = await plain.withStages(composition()).session({ context: 40 });
    await generate(session);
    const scale = new Float32Array(192).fill(1);
    for (const layer of [0, 2]) session.setTensors("neurons", layer, { scale });
    const without = await plain
      .withStages(composition({ neurons: 0 }))
      .generate(PROMPT, OPTIONS)
      .result();
    assert.equal((await generate(session)).tokens, without.tokens);
    assert.is(await codeOf(() => session.setTensors("neurons", 1, { scale })), "usage");
    assert.is(await codeOf(() => session.setTensors("neurons", 0, { scale: scale.slice(1) })), "usage");
    session.dispose();
  }),
);

inTurn("replaced tensors are reported with the first token they acted on, and are the caller's no more", () =>
  withModel(async (plain) => {
    const session = await plain.withStages(composition()).session({ context: 40 });
    const scale = new Float32Array(192).fill(1);
    const changed = await generate(session, (seen) => {
      if (seen !== 2) return;
      session.setTensors("neurons", 0, { scale }, { cache: "continue" });
      scale.fill(-9);
    });
    const [change, ...others] = changed.changes;
    assert.equal(others, []);
    const first = change?.first_token ?? 0;
    assert.equal(change, { id: "neurons", tensors: ["neurons.0.scale"], first_token: first });
    assert.ok(first >= 2, `acted from token ${first}`);

    const other = await plain.withStages(composition()).session({ context: 40 });
    const start = await other.generate(PROMPT, { maxNewTokens: first }).result();
    other.setTensors("neurons", 0, { scale: scale.fill(1) }, { cache: "continue" });
    const rest = await other.generate([...PROMPT, ...start.tokens], { maxNewTokens: 24 - first }).result();
    assert.equal(changed.tokens, [...start.tokens, ...rest.tokens]);
    session.dispose();
    other.dispose();
  }),
);

test("a direction of zero is refused where a stage divides by its length", () =>
  withModel(async (plain) => {
    const push = composition().stages[0] as Extract<Stage, { kind: "affine" }>;
    const values = new Map([[1, { ...push.values.get(1), reference: new Float32Array(WIDTH) }]]);
    const stages = [{ ...push, method: "ace", values } as const];
    const session = await plain.withStages({ stages, warnings: [] }).session({ context: 8 });
    assert.is(await codeOf(() => session.setTensors("push", 1, { direction: new Float32Array(WIDTH) })), "usage");
    session.setTensors("push", 1, { reference: new Float32Array(WIDTH) });
    session.dispose();
  }));

test("changes that make no sense are refused, and nothing is changed", () =>
  withModel(async (plain) => {
    const session = await plain.withStages(composition()).session({ context: 40 });
    const before = await generate(session);
    const refused: (() => void)[] = [
      () => session.set("nothing", { strength: 1 }),
      () => session.set("push", { strength: Number.NaN }),
      // Beyond float32: it would be an infinity on the device.
      () => session.set("push", { strength: 1e39 }),
      () => session.set("push", { alpha: -1e39 }),
      () => session.setTensors("push", 1, { direction: new Float32Array(WIDTH).fill(Number.NaN) }),
      () => session.set("neurons", { alpha: 1 }),
      () => session.set("edges", { edges: [["embed", "blocks.0.head.0", 0]] }),
      () => session.set("edges", { edges: [["embed", "blocks.0.head.1", 2]] }),
      () => session.set("push", { strength: 0 }, { sequence: 1 }),
    ];
    for (const change of refused) assert.is(await codeOf(change), "usage");
    assert.equal((await generate(session)).tokens, before.tokens);
    session.dispose();
  }));

/** Counts what is made on a device while `use` runs; what `use` is given lists it. */
async function countingMade(device: GPUDevice, use: (made: readonly string[]) => Promise<void>): Promise<void> {
  const made: string[] = [];
  const makers = [
    "createBuffer",
    "createBindGroup",
    "createComputePipeline",
    "createComputePipelineAsync",
    "createShaderModule",
  ] as const;
  const kept = makers.map((name) => [name, Object.getOwnPropertyDescriptor(device, name)] as const);
  for (const name of makers) {
    const original = device[name] as (descriptor: GPUObjectDescriptorBase) => unknown;
    Object.defineProperty(device, name, {
      configurable: true,
      value: (descriptor: GPUObjectDescriptorBase) => {
        made.push(`${name} ${descriptor.label}`);
        return original.call(device, descriptor);
      },
    });
  }
  try {
    await use(made);
  } finally {
    for (const [name, own] of kept) {
      Reflect.deleteProperty(device, name);
      // The device that tests share has methods of its own.
      if (own) Object.defineProperty(device, name, own);
    }
  }
}

inTurn("nothing is made on the device between two tokens", async () => {
  const device = await testDevice();
  const plain = await load(location(FOLDER), { device });
  const session = await plain.withStages(composition()).session({ context: 40 });
  await generate(session);
  await countingMade(device, async (made) => {
    await generate(session, (seen) => {
      session.set("push", { alpha: seen, strength: seen % 2 }, { cache: "continue" });
      session.set("neurons", { strength: seen % 2 }, { cache: "continue" });
      session.set(
        "edges",
        { strength: seen % 2, edges: [["blocks.0.mlp", "blocks.1.mlp", seen / 30]] },
        { cache: "continue" },
      );
    });
    // What reading results back takes is made anew for no token either.
    assert.equal(made, []);
  });
  session.dispose();
  plain.dispose();
});

for (const family of ["register", "tiled"] as const) {
  inTurn(`${family}: nor where the cache is computed again, in more rows than any step had before`, async () => {
    const device = await testDevice();
    const plain = await load(location(FOLDER), { device, family });
    const stages = composition().stages.slice(0, 1);
    const session = await plain.withStages({ stages, warnings: [] }).session({ context: 40 });
    await countingMade(device, async (made) => {
      let before: number | undefined;
      let seen = 0;
      for await (const _ of session.generate([3], { maxNewTokens: 36 })) {
        before ??= made.length;
        if (++seen % 4 === 0) session.set("push", { alpha: seen });
        // Then with every stage off, where the plain plan runs.
        if (seen === 20) session.set("push", { strength: 0 });
      }
      assert.is(seen, 36);
      assert.equal(made.slice(before), []);
    });
    session.dispose();
    plain.dispose();
  });
}

inTurn("a batch has strengths, alphas and edge values of each sequence's own, equal to each alone", () =>
  withModel(async (plain) => {
    const edited = plain.withStages(composition());
    const changes: ((session: Session, sequence: number) => void)[] = [
      () => undefined,
      (session, sequence) => session.set("push", { alpha: -1.5, strength: 0.5 }, { sequence }),
      (session, sequence) => session.set("edges", { edges: [["embed", "blocks.0.head.1", 0.75]] }, { sequence }),
      (session, sequence) => {
        for (const { id } of edited.stages) session.set(id, { strength: 0 }, { sequence });
      },
    ];
    const prompts = [PROMPT, PROMPT.slice(2), PROMPT.slice(1), PROMPT.slice(3)];
    const together = await edited.session({ context: 40, sequences: prompts.length });
    changes.forEach((change, sequence) => change(together, sequence));
    const batch = await together.generateBatch(prompts, OPTIONS);
    for (const [i, prompt] of prompts.entries()) {
      const alone = await edited.session({ context: 40 });
      changes[i]?.(alone, 0);
      const { tokens } = await alone.generate(prompt, OPTIONS).result();
      assert.equal(batch[i]?.tokens, tokens, `sequence ${i}`);
      alone.dispose();
    }
    const own = await plain.generate(prompts[3] as number[], OPTIONS).result();
    assert.equal(batch[3]?.tokens, own.tokens, "the sequence whose stages are off is the plain model's");
    together.dispose();
  }),
);

inTurn("a cache computed again gives every token the role it had", () =>
  withModel(async (plain) => {
    const base = composition().stages[0] as Extract<Stage, { kind: "affine" }>;
    const model = plain.withStages({ stages: [{ ...base, positions: "generated" }], warnings: [] });
    const run = async (changing: boolean) => {
      const session = await model.session({ context: 48 });
      const first = await session.generate(PROMPT, { maxNewTokens: 5 }).result();
      const turn = [...PROMPT, ...first.tokens, 9, 11];
      // In the middle of the second turn: there and back, so that only the computing again can make a difference.
      const generation = session.generate(turn, { maxNewTokens: 20 });
      let seen = 0;
      for await (const _ of generation) {
        if (changing && ++seen === 2) {
          session.set("push", { strength: 0.5 });
          session.set("push", { strength: 1 });
        }
      }
      const { tokens, changes } = await generation.result();
      session.dispose();
      return { tokens, changes };
    };
    const changed = await run(true);
    assert.is(changed.changes.length, 2);
    assert.equal(changed.tokens, (await run(false)).tokens);
  }),
);

test.run();
