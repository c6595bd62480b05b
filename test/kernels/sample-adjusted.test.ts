/** Addends, counts, masks and log probabilities of the sampler, against plain loops. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { KernelFamily } from "../../src/kernels/kernel.ts";
import {
  LOGPROB_WORDS,
  logprobsKernel,
  packSettings,
  type SamplingSetting,
  sampleKernel,
  seenWords,
} from "../../src/kernels/sample/sample.ts";
import { testDevice } from "../support/device.ts";
import { runKernel } from "../support/run-kernel.ts";
import { ceil4, normal, seeded } from "./inputs.ts";
import { OFF, penalise, sample } from "./sample-reference.ts";

const MAX_ROWS = 256;

interface Draw {
  readonly logits: Float32Array;
  readonly setting: SamplingSetting;
  readonly seen: readonly number[];
  readonly position: number;
  readonly addends: Float32Array;
  /** How often each token was drawn before. */
  readonly counts: Float32Array;
  /** Tokens that may be drawn. */
  readonly allowed: ReadonlySet<number>;
}

function randomDraw(random: () => number, vocab: number): Draw {
  const pick = <T>(...values: readonly T[]): T => values[Math.floor(random() * values.length)] as T;
  const ids = (share: number): number[] => Array.from({ length: vocab }, (_, id) => id).filter(() => random() < share);
  const allowed = new Set(ids(pick(0.02, 0.3, 0.9)));
  allowed.add(Math.floor(random() * vocab));
  const drawn = new Set(ids(0.1));
  return {
    logits: Float32Array.from({ length: vocab }, () => 3 * normal(random)),
    setting: {
      ...OFF,
      temperature: pick(0, 0.5, 1, 3),
      topK: pick(0, 0, 5, 40),
      topP: pick(1, 1, 0.9),
      minP: pick(0, 0, 0.05),
      repetitionPenalty: pick(1, 1, 1.3),
      presencePenalty: pick(0, 1.5, -0.7),
      frequencyPenalty: pick(0, 0.4, -2),
      hasAddends: random() < 0.8,
      isConstrained: random() < 0.7,
      seed: Math.floor(random() * 2 ** 53),
    },
    seen: [...new Set([...ids(0.1), ...drawn])],
    position: Math.floor(random() * 5000),
    addends: Float32Array.from({ length: vocab }, () => (random() < 0.1 ? pick(-100, 100, 2.5, -1) : 0)),
    counts: Float32Array.from({ length: vocab }, (_, id) => (drawn.has(id) ? 1 + Math.floor(3 * random()) : 0)),
    allowed,
  };
}

/** The logits that are drawn from, in float32 as the shader holds them. */
function adjusted({ logits, setting, seen, addends, counts, allowed }: Draw): number[] {
  const { hasAddends, isConstrained, presencePenalty = 0, frequencyPenalty = 0, repetitionPenalty } = setting;
  const [presence, frequency] = [Math.fround(presencePenalty), Math.fround(frequencyPenalty)];
  const added = logits.map((l, id) => (hasAddends ? l + (addends[id] as number) : l));
  const penalised = penalise(added, repetitionPenalty, new Set(seen));
  return penalised.map((l, id) => {
    if (isConstrained && !allowed.has(id)) return -1e30;
    const count = counts[id] as number;
    return hasAddends ? Math.fround(l - Math.fround(Math.fround(count * frequency) + (count > 0 ? presence : 0))) : l;
  });
}

function bitsOf(ids: Iterable<number>, words: number): Uint32Array {
  const bits = new Uint32Array(words);
  for (const id of ids) bits[id >> 5] = (bits[id >> 5] as number) | (1 << (id & 31));
  return bits;
}

/** Row and sequence differ: sequences are counted from the last row. */
async function run(vocab: number, draws: readonly Draw[], family: KernelFamily) {
  const stride = ceil4(vocab);
  const words = seenWords(vocab);
  const logits = new Uint32Array(draws.length * stride).fill(0x7fc00000);
  const seen = new Uint32Array(draws.length * words);
  const allowed = new Uint32Array(draws.length * words);
  const adjustments = new Float32Array(draws.length * 2 * stride);
  const settings: SamplingSetting[] = [];
  const outs = draws.map((each, row) => {
    const sequence = draws.length - 1 - row;
    logits.set(new Uint32Array(each.logits.buffer), row * stride);
    seen.set(bitsOf(each.seen, words), sequence * words);
    allowed.set(bitsOf(each.allowed, words), sequence * words);
    adjustments.set(each.addends, sequence * 2 * stride);
    adjustments.set(each.counts, sequence * 2 * stride + stride);
    settings[sequence] = each.setting;
    return { row, token_index: row, sequence, position: each.position };
  });
  const result = await runKernel(
    await testDevice(),
    sampleKernel({ vocab, maxRows: MAX_ROWS }, { family, adjusted: true }),
    {
      step: { rows: [], outs },
      maxRows: MAX_ROWS,
      rows: draws.length,
      args: {},
      buffers: {
        logits,
        settings: packSettings(settings),
        tokens: new Uint32Array(draws.length),
        seen,
        adjustments: new Uint32Array(adjustments.buffer),
        allowed,
      },
    },
  );
  const after = new Float32Array(result.get("adjustments") as ArrayBuffer);
  return {
    ids: [...new Uint32Array(result.get("tokens") as ArrayBuffer)],
    counts: (row: number) => {
      const start = (draws.length - 1 - row) * 2 * stride + stride;
      return after.subarray(start, start + vocab);
    },
  };
}

for (const family of ["register", "tiled"] as const) {
  test(`draws by addends, penalties of counts and masks as plain loops do (${family})`, async () => {
    const random = seeded(11);
    for (const [vocab, rows] of [
      [67, 120],
      [1031, 30],
    ] as const) {
      const draws = Array.from({ length: rows }, () => randomDraw(random, vocab));
      const { ids, counts } = await run(vocab, draws, family);
      let open = 0;
      draws.forEach((draw, row) => {
        const { setting, position, allowed } = draw;
        const id = ids[row] as number;
        const expected = sample(adjusted(draw), { ...setting, repetitionPenalty: 1 }, new Set(), position);
        if (expected === null) open++;
        else assert.is(id, expected, `vocabulary ${vocab}, row ${row}: ${JSON.stringify(setting)}`);
        if (setting.isConstrained) assert.ok(allowed.has(id), `row ${row} leaves its mask`);
        const added = draw.counts.slice();
        if (setting.hasAddends) added[id] = (added[id] as number) + 1;
        assert.equal([...counts(row)], [...added], `the counts of row ${row}`);
      });
      assert.ok(open <= rows / 10, `${open} of ${rows} draws were too close to call`);
    }
  });

  test(`log probabilities are those of the logits as they are (${family})`, async () => {
    const random = seeded(12);
    for (const vocab of [5, 67, 4099]) {
      const stride = ceil4(vocab);
      const rows = 6;
      // Some are equal: then the smaller id comes first.
      const values = Array.from({ length: rows }, () =>
        Float32Array.from({ length: vocab }, () => Math.round(8 * normal(random)) / 2),
      );
      const logits = new Uint32Array(rows * stride).fill(0x7fc00000);
      values.forEach((row, i) => logits.set(new Uint32Array(row.buffer), i * stride));
      const drawn = values.map(() => Math.floor(random() * vocab));
      const tops = [undefined, 0, 1, 2, 5, 5];
      const outs = values.map((_, row) => ({ row, token_index: row + 1, sequence: row, position: 3 }));
      const result = await runKernel(await testDevice(), logprobsKernel({ vocab, maxRows: MAX_ROWS }, { family }), {
        step: { rows: [], outs },
        maxRows: MAX_ROWS,
        rows,
        args: {},
        buffers: {
          logits,
          settings: packSettings(tops.map((topLogprobs) => ({ ...OFF, topLogprobs }))),
          tokens: Uint32Array.from([0, ...drawn]),
          logprobs: new Uint32Array((rows + 1) * LOGPROB_WORDS).fill(7),
        },
      });
      const words = new Uint32Array(result.get("logprobs") as ArrayBuffer);
      const floats = new Float32Array(words.buffer);
      values.forEach((row, i) => {
        const at = (i + 1) * LOGPROB_WORDS;
        const most = Math.max(...row);
        const sum = row.reduce((total, l) => total + Math.exp(l - most), 0);
        const logprob = (id: number): number => (row[id] as number) - most - Math.log(sum);
        const top = tops[i];
        if (top === undefined) {
          assert.ok(
            words.subarray(at, at + LOGPROB_WORDS).every((word) => word === 7),
            "who does not ask gets none",
          );
          return;
        }
        assert.ok(Math.abs((floats[at] as number) - logprob(drawn[i] as number)) < 1e-5);
        const order = Array.from(row.keys()).sort((a, b) => (row[b] as number) - (row[a] as number) || a - b);
        for (let n = 0; n < top; n++) {
          assert.is(words[at + 1 + 2 * n], order[n], `vocabulary ${vocab}, row ${i}, place ${n}`);
          assert.ok(Math.abs((floats[at + 2 + 2 * n] as number) - logprob(order[n] as number)) < 1e-5);
        }
        assert.is(words[at + 1 + 2 * top], 7, "nothing is written past the list");
      });
    }
  });
}

test.run();
