/** Finding edges: attribution against exact cuts, and fits whose bundles do to the engine what their reports say. */

import { test } from "uvu";
import * as assert from "uvu/assert";
import { SluiceError } from "../../src/errors.ts";
import { openAttribution } from "../../src/fit/attribution.ts";
import type { EdgeFitOptions } from "../../src/fit/edges/fit-edges.ts";
import { fitEdges } from "../../src/fit/edges/fit-edges.ts";
import { Adam } from "../../src/fit/edges/learn-masks.ts";
import { readBundle, writeBundle } from "../../src/interventions/bundle.ts";
import { countEdges, listDestinations, listSources, visibleSources } from "../../src/interventions/edges.ts";
import type { EdgeMaskManifest } from "../../src/interventions/manifest.ts";
import { refusal } from "../formats/refusal.ts";
import { uniform } from "../reference/draw.ts";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";
import { myTurns, sharedOut } from "../support/turns.ts";

const inTurn = sharedOut(test);

/** Six letters of three, and the same sorted, as gpt-nano-sort reads them. */
function sorting(seed: number, count: number): number[][] {
  const draw = uniform(seed);
  return Array.from({ length: count }, () => {
    const letters = Array.from({ length: 6 }, () => Math.floor(draw() * 3));
    return [...letters, ...[...letters].sort((a, b) => a - b)].slice(0, 11);
  });
}

test("gpt-nano-sort: the attribution of all 82 edges orders them much as cutting each of them does", async () => {
  const model = await load(location("weights/gpt-nano-sort"));
  const texts = sorting(1, 12);
  const [single, batch] = [
    await openAttribution(model, texts, { scoreFrom: 6 }),
    await openAttribution(model, texts, { scoreFrom: 6, masks: 16 }),
  ];
  const constants = await single.means();
  const { loss, gradient } = await single.run({ constants });
  const [rows, columns] = gradient.shape;
  const edges = listDestinations(model.config, "heads").flatMap((destination, d) =>
    Array.from({ length: visibleSources(model.config, destination) }, (_, s) => d * columns + s),
  );
  assert.is(edges.length, 82);
  assert.is(countEdges(model.config, "heads"), 82);
  const exact: number[] = [];
  for (let first = 0; first < edges.length; first += 16) {
    const masks = edges.slice(first, first + 16).map((edge) => {
      const data = new Float32Array(rows * columns).fill(1);
      data[edge] = 0;
      return { constants, mask: { data, shape: gradient.shape } };
    });
    exact.push(...(await batch.losses(masks)).map((cut) => cut - loss));
  }
  const estimated = edges.map((edge) => -(gradient.data[edge] as number));
  const correlation = spearman(estimated, exact);
  assert.ok(correlation > 0.75, `rank correlation ${correlation}`);
  const agreeing = edges.filter((_, i) => Math.sign(exact[i] as number) === Math.sign(estimated[i] as number)).length;
  assert.ok(agreeing >= 70, `${agreeing} of 82 edges have the estimated sign`);
  single.dispose();
  batch.dispose();
  model.dispose();
});

/** Rank correlation of two lists without ties to speak of. */
function spearman(a: readonly number[], b: readonly number[]): number {
  const ranks = (values: readonly number[]) => {
    const order = values.map((_, i) => i).sort((x, y) => (values[x] as number) - (values[y] as number));
    const rank = new Float64Array(values.length);
    order.forEach((index, place) => {
      rank[index] = place;
    });
    return rank;
  };
  const [x, y] = [ranks(a), ranks(b)];
  const squares = x.reduce((sum, value, i) => sum + (value - (y[i] as number)) ** 2, 0);
  return 1 - (6 * squares) / (a.length * (a.length ** 2 - 1));
}

for (const method of myTurns(["attribution+greedy", "masks"] as const)) {
  test(`${method}: the bundle of a fit gives the losses of its report`, async () => {
    const model = await load(location("weights/gpt-nano-sort"));
    // Sorted texts are to be kept, texts of one letter to be unlearned.
    const good = sorting(2, 12);
    const bad = [0, 1, 2].flatMap((letter) => [9, 10, 11].map((length) => Array<number>(length).fill(letter)));
    const {
      bundle,
      edges,
      before,
      after,
      divergence: moved,
      summary,
    } = await fitEdges(model, {
      good,
      bad,
      method,
      edges: 2,
      shortlist: 8,
      badWeight: 1,
      epochs: 12,
      ramp: 0,
      replace: method === "masks" ? "paper" : "mean",
    });
    assert.ok(edges.length > 0 && (method === "masks" || edges.length <= 2), summary);
    assert.ok(after.good - after.bad < before.good - before.bad, summary);
    assert.match(summary, /^\d+ of 82 edges: loss on bad text \d/);

    const reread = readBundle(writeBundle(bundle), "fitted");
    const edited = model.with([{ bundle: reread }]);
    const held = good.filter((_, i) => i % 4 === 3);
    const { nll } = await edited.perplexity(held);
    assert.ok(Math.abs(nll - after.good) < 1e-3 * Math.max(1, nll), `${nll}, reported as ${after.good}`);
    assert.ok(moved.good > 0 && moved.bad > 0, summary);
    const [check] = reread.manifest.checks ?? [];
    const { data } = await edited.logits(check?.tokens ?? [], { last: true });
    for (const [token, logit] of check?.top ?? [])
      assert.ok(Math.abs((data[token] as number) - logit) <= (check?.atol ?? 0));
    assert.is(listSources(model.config).length, reread.tensors.get("edges.constants")?.shape[0]);
    model.dispose();
  });
}

inTurn("with a cap on what the bad loss counts, a large weight does not ruin what was to be kept", async () => {
  const model = await load(location("weights/gpt-nano-sort"));
  const good = sorting(2, 12);
  const bad = [0, 1, 2].flatMap((letter) => [9, 10, 11].map((length) => Array<number>(length).fill(letter)));
  const options = { good, bad, edges: 3, shortlist: 8, badWeight: 50 };
  const greedy = await fitEdges(model, options);
  const capped = await fitEdges(model, { ...options, badCap: 0.2 });
  assert.is(capped.bundle.manifest.fit?.bad_cap, 0.2);
  assert.ok(capped.after.bad > capped.before.bad, capped.summary);
  assert.ok(capped.after.good < greedy.after.good, `${greedy.summary}; capped ${capped.summary}`);
  model.dispose();
});

inTurn("a fit that starts from one edge finds the second that a fit of two finds, with the same report", async () => {
  const model = await load(location("weights/gpt-nano-sort"));
  const good = sorting(2, 12);
  const bad = [0, 1, 2].flatMap((letter) => [9, 10, 11].map((length) => Array<number>(length).fill(letter)));
  const options = { good, bad, shortlist: 8, badWeight: 1 };
  const both = await fitEdges(model, { ...options, edges: 2 });
  const { bundle } = await fitEdges(model, { ...options, edges: 1 });
  const start = readBundle(writeBundle(bundle), "first.safetensors");
  const second = await fitEdges(model, { ...options, start, edges: 2 });
  const names = ({ edges }: typeof both) => edges.map(({ source, destination }) => `${source} → ${destination}`);
  assert.equal(names(second), names(both));
  assert.is(second.summary, both.summary);
  assert.is(second.bundle.manifest.fit?.started_with, 1);
  assert.equal(second.bundle.tensors.get("edges.constants"), bundle.tensors.get("edges.constants"));

  const refused = async (more: Partial<EdgeFitOptions>, message: RegExp) => {
    try {
      await fitEdges(model, { ...options, start, ...more });
      assert.unreachable();
    } catch (error) {
      assert.instance(error, SluiceError);
      assert.match((error as Error).message, message);
    }
  };
  await refused({ edges: 1 }, /first\.safetensors cannot be a start: it cuts 1, and a limit of 1 edges/);
  await refused({ method: "masks" }, /does not start from first\.safetensors/);
  await refused({ replace: "zero" }, /already defines what replaces a cut source/);
  const [stage] = bundle.manifest.stages as [EdgeMaskManifest];
  const half = stage.edges?.map(([source, destination]) => [source, destination, 0.5] as const) ?? [];
  const softened = { ...bundle, manifest: { ...bundle.manifest, stages: [{ ...stage, edges: half }] } };
  await refused({ start: softened }, /keeps 0\.5 of an edge/);
  model.dispose();
});

test("options out of range are refused by name, before anything is measured", async () => {
  const model = await load(location("weights/gpt-nano-sort"));
  const texts = { good: sorting(2, 8), bad: sorting(3, 8) };
  const refused = (more: object, ...parts: readonly string[]) =>
    refusal("usage", () => fitEdges(model, { ...texts, ...more }), ...parts);
  for (const name of ["edges", "shortlist", "epochs"]) {
    for (const value of [0, 1.5])
      await refused({ [name]: value }, `${name} is ${value}`, "a whole number of at least 1");
  }
  for (const heldOut of [0, 1, Number.NaN]) await refused({ heldOut }, `heldOut is ${heldOut}`, "above 0 and below 1");
  await refused({ method: "greedy" }, 'method is "greedy"', '"attribution+greedy" or "masks"');
  await refused({ replace: "noise" }, 'replace is "noise"', '"mean", "zero" or "paper"');
  await refused({ destinations: "blocks" }, 'destinations is "blocks"', '"heads" or "qkv_groups"');
  for (const name of ["badWeight", "badCap", "ramp"]) await refused({ [name]: -1 }, `${name} is -1`, "of at least 0");
  model.dispose();
});

test("Adam's first steps are those of PyTorch", () => {
  // torch.optim.AdamW([1., 1.], lr=0.05, weight_decay=0), gradients (1, -0.001) three times: each step is lr, by sign.
  const values = Float64Array.of(1, 1, 1);
  const optimizer = new Adam(3, 0.05);
  for (let i = 0; i < 3; i++) optimizer.step(values, Float64Array.of(1, -0.001, 5), [0, 1]);
  assert.ok(Math.abs((values[0] as number) - 0.85) < 1e-6);
  assert.ok(Math.abs((values[1] as number) - 1.15) < 1e-5);
  assert.is(values[2], 1);
});

test.run();
