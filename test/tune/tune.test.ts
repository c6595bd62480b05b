/** Plans that follow what was measured, and the measuring itself, on a small model. */

import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { allDispatches, type Plan } from "../../src/compile/plan.ts";
import { parseSafetensors, toFloat32 } from "../../src/formats/safetensors.ts";
import { load, tuneModel } from "../../src/index.ts";
import { noStages, type Stage } from "../../src/interventions/stage.ts";
import {
  kernelsFor,
  measuredRows,
  mostRows,
  operationKey,
  type RowBucket,
  rowBuckets,
  variantsFor,
} from "../../src/kernels/variants.ts";
import { remember } from "../../src/tune/remembered.ts";
import { assertClose } from "../support/closeness.ts";
import { location, readBytes, readJson } from "../support/files.ts";
import { gpt2Small, imaginedPlan } from "../support/imagined-plan.ts";
import { choicesFor, operationsOf } from "../support/kernel-choices.ts";
import { MemoryStore } from "../support/memory-store.ts";
import { codeOf } from "../support/refusal-code.ts";

const families = ["register", "tiled"] as const;

const kernelNames = (plan: Plan): string =>
  JSON.stringify(
    allDispatches(plan).map(({ label, candidates }) => [label, candidates.map((c) => [c.maxRows, c.kernel.name])]),
  );

test("a choice serves the rows of its bucket, and the guess the others", () => {
  fc.assert(
    fc.property(fc.constantFrom(...families), fc.infiniteStream(fc.nat()), (family, numbers) => {
      const plan = imaginedPlan(gpt2Small, noStages, { family });
      // A third of the buckets is left to the guess.
      const pick = (names: readonly string[]) => {
        const n = numbers.next().value as number;
        return n % 3 === 0 ? undefined : names[n % Math.max(1, names.length)];
      };
      const choices = choicesFor(plan, pick);
      for (const operation of operationsOf(plan)) {
        const ranges = kernelsFor(operation, { choices, reference: false });
        for (const rows of [1, 2, 3, 4, 5, 8, 9, 16, 17, 32, 33, 64, 65, 256]) {
          const bucket = rowBuckets.find((each) => rows <= mostRows(each)) as RowBucket;
          const name = choices[operationKey(operation)]?.[bucket];
          const chosen = variantsFor(operation, bucket).find((variant) => variant.name === name);
          const wanted =
            chosen && rows <= chosen.rows[1]
              ? chosen.kernel
              : operation.guess.find(({ maxRows }) => rows <= maxRows)?.kernel;
          assert.is(ranges.find(({ maxRows }) => rows <= maxRows)?.kernel.name, wanted?.name, `${rows} rows`);
        }
      }
    }),
    { numRuns: 10 },
  );
});

test("the guess is among the variants, so that it can be measured against them", () => {
  for (const family of families) {
    for (const operation of operationsOf(imaginedPlan(gpt2Small, noStages, { family }))) {
      for (const bucket of operation.tunedRows ?? rowBuckets) {
        const variants = variantsFor(operation, bucket);
        if (variants.length === 0) continue;
        const guess = operation.guess.find(({ maxRows }) => measuredRows(bucket) <= maxRows)?.kernel.name;
        assert.ok(
          variants.some(({ kernel }) => kernel.name === guess),
          `${guess} for ${bucket} rows`,
        );
      }
    }
  }
});

test("choices that name nothing, and choices for other shapes, leave the guess; the reference plan takes none", () => {
  for (const family of families) {
    const plain = imaginedPlan(gpt2Small, noStages, { family });
    const unknown = choicesFor(plain, () => "nothing");
    assert.is(kernelNames(imaginedPlan(gpt2Small, noStages, { family, choices: unknown })), kernelNames(plain));
    const last = choicesFor(plain, (names) => names.at(-1));
    assert.is.not(kernelNames(imaginedPlan(gpt2Small, noStages, { family, choices: last })), kernelNames(plain));
    const reference = imaginedPlan(gpt2Small, noStages, { family, reference: true });
    const tuned = imaginedPlan(gpt2Small, noStages, { family, reference: true, choices: last });
    assert.is(kernelNames(tuned), kernelNames(reference));
  }
});

test("stages and captures do not change which kernels serve", () => {
  const layers = [0, 5];
  const common = { positions: "all", strength: 1, layers } as const;
  const width = { mlp_post: gpt2Small.intermediate_size, mlp_out: gpt2Small.hidden_size } as const;
  const scales = Object.entries(width).map(([site, n]): Stage => {
    const values = new Map(layers.map((layer) => [layer, { scale: new Float32Array(n) }]));
    return { ...common, id: site, kind: "neuron_scale", site: site as keyof typeof width, values };
  });
  const vector = new Float32Array(gpt2Small.hidden_size).fill(1);
  const ace: Stage = {
    ...common,
    id: "ace",
    kind: "affine",
    method: "ace",
    gate: "identity",
    alpha: 1,
    // The residual add moves out of the projection.
    site: "attn_out",
    values: new Map(layers.map((layer) => [layer, { direction: vector, reference: vector }])),
  };
  for (const family of families) {
    const keys = (plan: Plan) =>
      new Map(
        allDispatches(plan).flatMap(({ label, operation }) => (operation ? [[label, operationKey(operation)]] : [])),
      );
    const plain = keys(imaginedPlan(gpt2Small, noStages, { family }));
    const composition = { stages: [...scales, ace], warnings: [] };
    const edited = imaginedPlan(gpt2Small, composition, { family, captures: ["attn_q.1", "mlp_pre.5"] });
    let same = 0;
    for (const [label, key] of keys(edited)) {
      assert.is(key, plain.get(label), label);
      same++;
    }
    // All but the norms that edit rows, which have one kernel.
    assert.ok(same >= 5 * 12 + 1, `${same}`);
  }
});

test("logits under any choice of kernels are those of the model, and tuning keeps to its time", async () => {
  const folder = "test/golden/llama-tiny";
  const cases = await readJson<{ case: string; tokens: number[]; expected: string }[]>(`${folder}/cases.json`);
  const base = cases.find((entry) => entry.case === "base");
  assert.ok(base);
  const stored = parseSafetensors(await readBytes(`${folder}/${base.expected}`)).tensors.get("logits");
  assert.ok(stored);
  const expected = toFloat32(stored);
  const reference = await load(location(folder), { plan: "reference" });
  const model = await load(location(folder));
  try {
    assert.is(await codeOf(() => tuneModel(reference, { store: new MemoryStore() })), "usage");
    assert.is(await codeOf(() => tuneModel(model, { seconds: 0, store: new MemoryStore() })), "usage");
    const store = new MemoryStore();
    // The last of those that a software device compiles in no time, which are not the guess.
    const choices = choicesFor(model.plan(), (names) => names.filter((name) => /^register/.test(name)).at(-1));
    await remember(store, model.device, choices, assert.unreachable);
    const before = kernelNames(model.plan());
    const report = await tuneModel(model, { seconds: 0.4, store });
    // Nobody can interrupt a driver that compiles a kernel when it first runs, as llvmpipe does: 8 s in Firefox, which does
    // not name it.
    if (model.device.vendor !== "") assert.ok(report.seconds < 1.5, `${report.seconds} s`);
    assert.ok(report.decided <= report.results.length && report.decided <= report.total);
    for (const { candidates, guess, chosen, ratio_to_guess } of report.results) {
      assert.ok((candidates[guess] ?? 0) > 0 && (candidates[chosen] ?? 0) > 0);
      assert.ok(chosen === guess ? ratio_to_guess === 1 : ratio_to_guess < 1, `${chosen} for ${guess}`);
    }
    assert.is.not(kernelNames(model.plan()), before);
    assertClose((await model.logits(base.tokens)).data, expected, "logits");
  } finally {
    model.dispose();
    reference.dispose();
  }
});

test.run();
