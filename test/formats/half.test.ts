import { Float16Array } from "@petamoriken/float16";
import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  bf16ToF32,
  f16ToF32,
  f32ToBf16,
  f32ToF16,
  narrowToBf16,
  narrowToF16,
  widenBf16,
  widenF16,
} from "../../src/formats/half.ts";

const everyPattern = Uint16Array.from({ length: 65536 }, (_, bits) => bits);
const floats = fc.oneof(
  fc.float(),
  fc.float({ min: -70000, max: 70000 }),
  fc.float({ min: -(2 ** -13), max: 2 ** -13 }),
);

/** bfloat16 by the definition: of the two neighbours in float64, the nearer; of two as near, the even one. */
function nearestBf16(value: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer)[0] as number;
  const low = bits >>> 16;
  const lowValue = bf16ToF32(low);
  // Past the largest finite value the next step up is taken to be 2^128, as rounding to infinity demands.
  const high = bf16ToF32(low + 1);
  const highValue = Number.isFinite(high) ? high : Math.sign(value) * 2 ** 128;
  const below = Math.abs(value - lowValue);
  const above = Math.abs(highValue - value);
  return below < above || (below === above && low % 2 === 0) ? low : low + 1;
}

test("every f16 pattern widens to the value that a reference gives it, one by one and in bulk", () => {
  const expected = Float32Array.from(new Float16Array(everyPattern.buffer.slice(0)));
  const bulk = widenF16(everyPattern);
  for (let bits = 0; bits < 65536; bits++) {
    assert.ok(Object.is(bulk[bits], expected[bits]), `0x${bits.toString(16)}`);
    assert.ok(Object.is(f16ToF32(bits), expected[bits]), `0x${bits.toString(16)}`);
  }
});

test("widening and narrowing returns every pattern, NaN payloads but the quiet bit included", () => {
  const f16 = narrowToF16(widenF16(everyPattern));
  const bf16 = narrowToBf16(widenBf16(everyPattern));
  for (let bits = 0; bits < 65536; bits++) {
    const isF16Nan = (bits & 0x7fff) > 0x7c00;
    const isBf16Nan = (bits & 0x7fff) > 0x7f80;
    assert.is(f16[bits], isF16Nan ? bits | 0x200 : bits);
    assert.is(bf16[bits], isBf16Nan ? bits | 0x40 : bits);
  }
});

test("float32 narrows to f16 as the reference does, ties to even", () => {
  fc.assert(
    fc.property(floats, (value) => {
      const expected = new Uint16Array(Float16Array.of(value).buffer)[0];
      if (Number.isNaN(value)) assert.ok(Number.isNaN(f16ToF32(f32ToF16(value))));
      else assert.is(f32ToF16(value), expected);
    }),
    { numRuns: 5000 },
  );
});

test("half way between two f16 values the even one is taken, a step to either side the nearer", () => {
  for (let bits = 0; bits < 0x7bff; bits += 7) {
    const half = (f16ToF32(bits) + f16ToF32(bits + 1)) / 2;
    const even = bits % 2 === 0 ? bits : bits + 1;
    const step = half * 2 ** -20;
    assert.is(f32ToF16(half), even);
    assert.is(f32ToF16(half + step), bits + 1);
    assert.is(f32ToF16(half - step), bits);
    assert.is(f32ToF16(-half), even | 0x8000);
  }
});

test("f16 at the ends of its range", () => {
  assert.is(f32ToF16(65504), 0x7bff);
  assert.is(f32ToF16(65519.99609375), 0x7bff);
  assert.is(f32ToF16(65520), 0x7c00);
  assert.is(f32ToF16(-Infinity), 0xfc00);
  assert.is(f32ToF16(2 ** -24), 1);
  assert.is(f32ToF16(2 ** -25), 0);
  assert.is(f32ToF16(2 ** -25 * 1.0001), 1);
  assert.is(f32ToF16(-0), 0x8000);
});

test("bfloat16 is the nearest upper half of a float32", () => {
  fc.assert(
    fc.property(fc.oneof(fc.float({ noNaN: true, noDefaultInfinity: true }), floats), (value) => {
      if (!Number.isFinite(value)) return;
      assert.is(f32ToBf16(value), nearestBf16(value));
    }),
    { numRuns: 5000 },
  );
  assert.is(f32ToBf16(Infinity), 0x7f80);
  assert.is(f32ToBf16(3.4028234663852886e38), 0x7f80);
  assert.ok(Number.isNaN(bf16ToF32(f32ToBf16(NaN))));
});

test("a signalling NaN whose payload is cut off stays a NaN", () => {
  const lowPayload = new Float32Array(Uint32Array.of(0x7f800001, 0xff800001).buffer);
  assert.equal([...narrowToBf16(lowPayload)], [0x7fc0, 0xffc0]);
  assert.equal([...narrowToF16(lowPayload)], [0x7e00, 0xfe00]);
});

test.run();
