import { test } from "uvu";
import * as assert from "uvu/assert";
import { inverseFrequencies, pairAdjacentOrder, ropeTable } from "../../src/architectures/rope.ts";

test("plain frequencies fall geometrically from 1", () => {
  const frequencies = inverseFrequencies({ rope_theta: 10000, scaling: { rope_type: "default" } }, 8, 1);
  assert.equal(
    [...frequencies].map((f) => f.toFixed(6)),
    ["1.000000", "0.100000", "0.010000", "0.001000"],
  );
});

test("linear scaling divides every frequency", () => {
  const frequencies = inverseFrequencies({ rope_theta: 10000, scaling: { rope_type: "linear", factor: 4 } }, 4, 1);
  assert.equal([...frequencies], [0.25, 0.0025]);
});

// Values of transformers' _compute_llama3_parameters for Llama 3.1's settings, at the two ends and in the blend.
test("llama3 scaling keeps short wavelengths, stretches long ones and blends between", () => {
  const scaling = {
    rope_type: "llama3",
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 8192,
  } as const;
  const plain = inverseFrequencies({ rope_theta: 500000, scaling: { rope_type: "default" } }, 128, 1);
  const scaled = inverseFrequencies({ rope_theta: 500000, scaling }, 128, 1);
  assert.is(scaled[0], plain[0]);
  assert.is(scaled[63], (plain[63] as number) / 8);
  const blended = [...scaled].filter((f, i) => f !== plain[i] && f !== (plain[i] as number) / 8);
  assert.ok(blended.length > 0);
  for (let i = 1; i < 64; i++) assert.ok((scaled[i] as number) < (scaled[i - 1] as number));
});

test("the table has cos and sin of position times frequency", () => {
  const table = ropeTable({ rope_theta: 100, scaling: { rope_type: "default" } }, 4, 3);
  assert.is(table.length, 3 * 4);
  assert.equal([...table.subarray(0, 4)], [1, 0, 1, 0]);
  assert.ok(Math.abs((table[2 * 4 + 2] as number) - Math.cos(0.2)) < 1e-7);
  assert.ok(Math.abs((table[2 * 4 + 3] as number) - Math.sin(0.2)) < 1e-7);
});

test("head order brings the halves of a pair together", () => {
  assert.equal(pairAdjacentOrder(6), [0, 3, 1, 4, 2, 5]);
});

test.run();
