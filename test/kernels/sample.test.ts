import { test } from "uvu";
import * as assert from "uvu/assert";
import type { KernelFamily } from "../../src/kernels/kernel.ts";
import { packSettings, type SamplingSetting, sampleKernel, seenWords } from "../../src/kernels/sample/sample.ts";
import { testDevice } from "../support/device.ts";
import { runKernel } from "../support/run-kernel.ts";
import { ceil4, normal, seeded } from "./inputs.ts";
import { keptSet, OFF, pcg4d, penalise, sample } from "./sample-reference.ts";

const FAILED = 0xffffffff;
/** Near the most that a step uniform of 64 KiB holds. */
const MAX_ROWS = 2000;

/** One out row: what is drawn from, and how. */
interface Draw {
  readonly logits: ArrayLike<number>;
  readonly setting?: Partial<SamplingSetting>;
  readonly seen?: readonly number[];
  readonly position?: number;
}

/**
 * Runs draws as the out rows of one step, each its own sequence, in reverse so that row and sequence differ.
 * Returns ids and the tokens that each sequence has seen afterwards.
 */
async function draw(vocab: number, draws: readonly Draw[], family: KernelFamily = "register") {
  const stride = ceil4(vocab);
  const words = seenWords(vocab);
  const logits = new Uint32Array(draws.length * stride).fill(0x7fc00000); // NaN in the padding
  const seen = new Uint32Array(draws.length * words);
  const settings: SamplingSetting[] = [];
  const outs = draws.map((one, row) => {
    const sequence = draws.length - 1 - row;
    logits.set(new Uint32Array(Float32Array.from(one.logits).buffer), row * stride);
    for (const id of one.seen ?? []) (seen[sequence * words + (id >> 5)] as number) |= 1 << (id & 31);
    settings[sequence] = { ...OFF, ...one.setting };
    return { row, token_index: row, sequence, position: one.position ?? 0 };
  });
  const result = await runKernel(await testDevice(), sampleKernel({ vocab, maxRows: MAX_ROWS }, { family }), {
    step: { rows: [], outs },
    maxRows: MAX_ROWS,
    rows: draws.length,
    args: {},
    buffers: {
      logits,
      settings: packSettings(settings),
      tokens: new Uint32Array(draws.length + 1).fill(7777777),
      seen,
    },
  });
  const tokens = new Uint32Array(result.get("tokens") as ArrayBuffer);
  assert.is(tokens[draws.length], 7777777, "nothing is written past the out rows");
  const after = new Uint32Array(result.get("seen") as ArrayBuffer);
  const bits = (row: number): number[] => {
    const start = (draws.length - 1 - row) * words;
    const ids = Array.from({ length: words * 32 }, (_, id) => id);
    return ids.filter((id) => ((after[start + (id >> 5)] as number) >>> (id & 31)) & 1);
  };
  return { ids: Array.from(tokens.subarray(0, draws.length)), bits };
}

/** Checks draws against float64; at most a twentieth may be too close to call. */
async function check(vocab: number, draws: readonly Draw[], family: KernelFamily): Promise<void> {
  const { ids, bits } = await draw(vocab, draws, family);
  let open = 0;
  draws.forEach(({ logits, setting, seen = [], position = 0 }, row) => {
    const whole = { ...OFF, ...setting };
    const expected = sample(logits, whole, new Set(seen), position);
    if (expected === null) open++;
    else assert.is(ids[row], expected, `vocabulary ${vocab}, row ${row}: ${JSON.stringify(whole)}`);
    const known = [...new Set([...seen, ids[row] as number])].sort((a, b) => a - b);
    assert.equal(bits(row), known, `the seen tokens of row ${row}`);
  });
  assert.ok(open <= draws.length / 20, `${open} of ${draws.length} draws were too close to call`);
}

/** Random logits as float32, some of them equal. */
function randomLogits(random: () => number, vocab: number): Float32Array {
  const spread = 0.1 + 6 * random();
  const coarse = random() < 0.5;
  return Float32Array.from({ length: vocab }, () => {
    const value = spread * normal(random) - 5;
    return coarse ? Math.round(value * 4) / 4 : value;
  });
}

function randomDraw(random: () => number, vocab: number): Draw {
  const pick = <T>(...values: readonly T[]): T => values[Math.floor(random() * values.length)] as T;
  const seen = Array.from({ length: Math.floor((random() * vocab) / 4) }, () => Math.floor(random() * vocab));
  return {
    logits: randomLogits(random, vocab),
    setting: {
      temperature: pick(0, 0.001, 0.5, 1, 1, 1, 5),
      topK: pick(0, 0, 1, 2, 5, 40, vocab, vocab + 9),
      topP: pick(1, 1, 1e-6, 0.3, 0.9, 0.99),
      minP: pick(0, 0, 0.02, 0.3, 1),
      repetitionPenalty: pick(1, 1, 1.3, 0.7),
      seed: pick(0, 1, 42, 0xffffffff, Math.floor(random() * 2 ** 53)),
    },
    seen: [...new Set(seen)],
    position: Math.floor(random() * 5000),
  };
}

test("chooses as float64 does for random settings and vocabularies", async () => {
  const random = seeded(1);
  const sizes = [
    [3, 100],
    [101, 150],
    [4099, 40],
    [50257, 12],
  ] as const;
  for (const [vocab, count] of sizes) {
    for (const family of ["register", "tiled"] as const) {
      const draws = Array.from({ length: count }, () => randomDraw(random, vocab));
      await check(vocab, draws, family);
    }
  }
});

test("draws have the frequencies of the kept set's softmax, and never leave it", async () => {
  const random = seeded(2);
  const vocab = 101;
  const draws = 400;
  const logits = Array.from({ length: vocab }, (_, id) => Math.fround(id % 7 === 0 ? 1.5 : 1.2 * normal(random)));
  const cases: Partial<SamplingSetting>[] = [
    {},
    { temperature: 5 },
    { topK: 3 }, // 15 tokens share the third place's logit or are above it
    { topP: 0.5 },
    { temperature: 0.5, topK: 30, topP: 0.9, minP: 0.2, repetitionPenalty: 1.2 },
  ];
  const seen = [0, 7, 8, 50];
  const { ids } = await draw(
    vocab,
    cases.flatMap((setting, i) =>
      Array.from({ length: draws }, (_, n) => ({ logits, seen, setting: { ...setting, seed: n }, position: i })),
    ),
  );
  for (const [i, setting] of cases.entries()) {
    const whole = { ...OFF, ...setting };
    const kept = keptSet(penalise(logits, whole.repetitionPenalty, new Set(seen)), whole);
    const counts = new Map<number, number>();
    for (const id of ids.slice(i * draws, (i + 1) * draws)) counts.set(id, (counts.get(id) ?? 0) + 1);
    let chiSquare = 0;
    let cells = 0;
    let rest = { expected: 0, counted: 0 };
    for (const [id, p] of kept) {
      const expected = p * draws;
      const counted = counts.get(id) ?? 0;
      counts.delete(id);
      if (expected < 5) rest = { expected: rest.expected + expected, counted: rest.counted + counted };
      else {
        chiSquare += (counted - expected) ** 2 / expected;
        cells++;
      }
    }
    assert.is(counts.size, 0, `drawn outside the kept set: ${[...counts.keys()]}, ${JSON.stringify(setting)}`);
    if (rest.expected >= 5) {
      chiSquare += (rest.counted - rest.expected) ** 2 / rest.expected;
      cells++;
    }
    const freedom = cells - 1;
    // Four standard deviations of chi-square.
    const limit = freedom + 4 * Math.sqrt(2 * freedom);
    assert.ok(chiSquare < limit, `chi-square ${chiSquare} of ${freedom}, ${JSON.stringify(setting)}`);
  }
});

test("ties at the k-th place all stay, and ties at top-p stay or go together", async () => {
  const logits = [2, 1, 3, 1, 0, 1, -1, 2, 0];
  // Shares at temperature 3: 0.20 for 3, 0.14 for each 2, 0.10 for each 1.
  const cases: [Partial<SamplingSetting>, number[]][] = [
    [{ topK: 2 }, [0, 2, 7]],
    [{ topK: 3 }, [0, 2, 7]],
    [{ topK: 4 }, [0, 1, 2, 3, 5, 7]],
    [{ topK: 8 }, [0, 1, 2, 3, 4, 5, 7, 8]],
    [{ topP: 0.19 }, [2]],
    [{ topP: 0.3 }, [0, 2, 7]],
    [{ topP: 0.55 }, [0, 1, 2, 3, 5, 7]],
  ];
  const each = 200;
  const { ids } = await draw(
    logits.length,
    cases.flatMap(([setting]) =>
      Array.from({ length: each }, (_, seed) => ({ logits, setting: { temperature: 3, seed, ...setting } })),
    ),
  );
  for (const [i, [setting, kept]] of cases.entries()) {
    const drawn = [...new Set(ids.slice(i * each, (i + 1) * each))].sort((a, b) => a - b);
    assert.equal(drawn, kept, JSON.stringify(setting));
  }
});

test("the narrowest settings are greedy, and a row of equals is still a draw", async () => {
  const random = seeded(3);
  const logits = Float32Array.from({ length: 101 }, () => normal(random));
  const largest = logits.indexOf(logits.reduce((a, b) => Math.max(a, b)));
  const narrow = [
    { temperature: 0 },
    { topK: 1 },
    { topP: 1e-9 },
    { topP: 0 },
    { minP: 1 },
    { temperature: 1e-3, topP: 0.9 },
  ];
  const greedy = narrow.flatMap((setting) =>
    [1, 2, 3].map((seed) => ({ logits, setting: { temperature: 1, ...setting, seed } })),
  );
  const equals = Array.from({ length: 300 }, (_, seed) => ({
    logits: new Float32Array(101),
    setting: { seed, topK: 1, topP: 1e-9, minP: 1 },
  }));
  const { ids } = await draw(101, [...greedy, ...equals]);
  assert.equal(
    ids.slice(0, greedy.length),
    Array.from(greedy, () => largest),
  );
  assert.ok(new Set(ids.slice(greedy.length)).size > 80, "all of 101 equal tokens can be drawn");
});

test("a draw depends on seed and position alone, not on the batch", async () => {
  const random = seeded(4);
  const vocab = 101;
  const others = Array.from({ length: 9 }, () => randomDraw(random, vocab));
  const logits = Float32Array.from({ length: vocab }, () => normal(random));
  const own = (seed: number, position: number): Draw => ({ logits, setting: { temperature: 2, seed }, position });
  const alone = (await draw(vocab, [own(7, 3)])).ids[0];
  const high = 2 ** 32;
  const varied = Array.from({ length: 60 }, (_, i) => [own(7, i), own(i, 3), own(7 + i * high, 3)]).flat();
  const { ids } = await draw(vocab, [...others, own(7, 3), ...varied]);
  assert.is(ids[others.length], alone);
  for (const kind of [0, 1, 2]) {
    const drawn = new Set(ids.slice(others.length + 1).filter((_, i) => i % 3 === kind));
    assert.ok(drawn.size > 20, `${["positions", "seeds", "high words of the seed"][kind]} do not tell draws apart`);
  }
});

test("the penalty divides positive logits and multiplies negative ones, for seen tokens alone", async () => {
  const greedy = { temperature: 0, repetitionPenalty: 2 };
  const draws: Draw[] = [
    { logits: [4, 3, 1], setting: greedy, seen: [0] },
    { logits: [4, 3, 1], setting: greedy, seen: [0, 1] },
    { logits: [-1, -1.5, -3], setting: greedy, seen: [0] },
    { logits: [4, 3, 1], setting: { ...greedy, repetitionPenalty: 1 }, seen: [0] },
  ];
  const { ids, bits } = await draw(3, draws);
  assert.equal(ids, [1, 0, 1, 0]);
  assert.equal(
    draws.map((_, row) => bits(row)),
    [[0, 1], [0, 1], [0, 1], [0]],
  );
});

test("a row that is not finite gives no token and marks none as seen", async () => {
  const rows = [NaN, Infinity, -Infinity].flatMap((bad) =>
    [0, 50, 100].map((at) => Float32Array.from({ length: 101 }, (_, id) => (id === at ? bad : id / 10))),
  );
  const settings: Partial<SamplingSetting>[] = [{}, { temperature: 0 }, { topK: 5, topP: 0.5, repetitionPenalty: 1.5 }];
  const draws: Draw[] = rows.map((logits, i) => ({ logits, setting: settings[i % 3] ?? {}, seen: [50] }));
  const peak = (height: number, others: number): Float32Array =>
    Float32Array.from({ length: 101 }, (_, id) => (id === 4 ? height : others));
  // Finite, but not after the penalty; and finite with a difference that is not.
  draws.push({ logits: peak(3e38, 1), seen: [4], setting: { repetitionPenalty: 0.5 } });
  draws.push({ logits: peak(3e38, -3e38), setting: { topP: 0.9 } });
  const { ids, bits } = await draw(101, draws);
  assert.equal(ids, [...rows.map(() => FAILED), FAILED, 4]);
  assert.equal(
    draws.slice(0, 9).map((_, row) => bits(row)),
    Array.from(rows, () => [50]),
  );
});

test("neighbouring seeds, positions and tokens hash independently", () => {
  // The smallest of 256 words decides a draw among equals: its place must be uniform, and independent of the last.
  for (const axis of [0, 1, 2]) {
    const places = new Uint32Array(16);
    const pairs = new Uint32Array(256);
    let last = 0;
    for (let n = 0; n < 8192; n++) {
      let least = 2 ** 32;
      let place = 0;
      for (let i = 0; i < 64; i++) {
        const v = Uint32Array.of(9, 0, 5, i);
        v[axis] = n;
        pcg4d(v);
        v.forEach((word, lane) => {
          if (word < least) [least, place] = [word, (4 * i + lane) >> 4];
        });
      }
      (places[place] as number)++;
      (pairs[last * 16 + place] as number)++;
      last = place;
    }
    for (const counts of [places, pairs]) {
      const mean = 8192 / counts.length;
      const chiSquare = counts.reduce((sum, c) => sum + (c - mean) ** 2 / mean, 0);
      assert.ok(chiSquare < counts.length + 4 * Math.sqrt(2 * counts.length), `axis ${axis}: chi-square ${chiSquare}`);
    }
  }
});

test.run();
