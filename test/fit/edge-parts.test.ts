/** How texts are cut into parts, what is kept between them, and how their losses and gradients become those of all. */
import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type GradientInput, type LossesInput, partsOf, sparse } from "../../src/fit/edges/edge-shards.ts";
import { Objective } from "../../src/fit/edges/objective.ts";
import { Kept } from "../../src/shards/kept.ts";
import type { Shard, ShardRunner } from "../../src/shards/shards.ts";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";

test("parts are neighbours, of about a thousand rows, and each has something to predict if any text has", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 700 }), { maxLength: 40 }), (lengths) => {
      const texts = lengths.map((length, i) => Array<number>(length).fill(i));
      const parts = partsOf(texts);
      assert.equal(
        parts.flatMap((part) => part.texts),
        texts,
      );
      const predicts = lengths.some((length) => length > 1);
      for (const { texts: some, first, rows, predictions } of parts) {
        assert.is(some[0], texts[first]);
        assert.is(rows, some.flat().length);
        assert.is(predictions > 0, predicts);
        const many = some.filter(({ length }) => length > 1).length > 1;
        assert.ok(!many || rows - some.filter(({ length }) => length === 1).length <= 1024, `${rows} rows`);
      }
    }),
    { numRuns: 200 },
  );
});

test("the losses and gradients of parts count by their predictions, good texts first, each mask in its place", async () => {
  const model = await load(location("weights/gpt-nano-sort"));
  const text = (length: number) => Array<number>(length).fill(1);
  // Parts of 93 and 7 texts, and of one.
  const texts = { good: Array.from({ length: 100 }, () => text(11)), bad: [text(5)] };
  const asked: string[] = [];
  const runner: ShardRunner = {
    async *run(kind, shards) {
      for (const { label, input } of shards as readonly Shard<unknown>[]) {
        asked.push(`${kind.name}: ${label}`);
        const { masks, texts: some } = input as LossesInput & GradientInput;
        const losses = masks?.map(({ edges }) => some.length + edges.length);
        yield (losses ?? { loss: some.length, gradient: new Float32Array(14 * 14).fill(some.length) }) as never;
      }
    },
  };
  const replacement = { constants: undefined, replace: { attn: "zero", mlp: "zero", logits: "zero" } } as const;
  const options = { destinations: "heads", badWeight: 2, badCap: Infinity, replacement, runner } as const;
  const objective = new Objective(model, texts, options);
  const ones = new Float64Array(objective.shape[0] * objective.shape[1]).fill(1);
  const { losses, gradient } = await objective.gradient(ones);
  const good = (93 * 93 + 7 * 7) / 100;
  assert.ok(Math.abs(losses.good - good) < 1e-9, `${losses.good}`);
  assert.is(losses.bad, 1);
  assert.ok(Math.abs((gradient[0] as number) - (good - 2)) < 1e-9);
  const cut = ones.slice();
  cut[0] = 0;
  assert.equal([...sparse(cut).edges], [0]);
  const both = await objective.losses([ones, cut]);
  assert.ok(both.every((loss, i) => Math.abs(loss.good - good - i) < 1e-9 && loss.bad === 1 + i));
  assert.equal(asked.slice(0, 3), [
    "edge-gradient: good texts 1 to 93",
    "edge-gradient: good texts 94 to 100",
    "edge-gradient: bad text 1",
  ]);
  objective.dispose();
  model.dispose();
});

test("what is kept is used by one shard at a time, and not again after it failed", async () => {
  const log: string[] = [];
  let opened = 0;
  const kept = new Kept();
  const open = (bytes: number) => async () => {
    const id = opened++;
    return { bytes, id, dispose: () => log.push(`end ${id}`) };
  };
  const use = (name: string, bytes = 1) => kept.with(name, open(bytes), async ({ id }) => id);
  assert.equal([await use("a"), await use("a"), await use("b")], [0, 0, 1]);
  // Two at once: one waits for nobody, and only one of them stays.
  assert.equal(await Promise.all([use("a"), use("a")]), [0, 2]);
  assert.equal(log, ["end 2"]);
  await kept.with("a", open(1), () => Promise.reject(new Error("lost"))).catch(() => undefined);
  assert.equal(log, ["end 2", "end 0"]);
  // Four stay whatever they hold; with more, the oldest go.
  for (const name of ["c", "d", "e"]) await use(name, 1 << 30);
  assert.equal(log.slice(2), []);
  await use("f", 1 << 30);
  assert.equal(log.slice(2), ["end 1"]);
  kept.dispose();
  assert.is(log.length, opened);
});

test.run();
