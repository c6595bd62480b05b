import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { placeValues } from "../../src/compile/memory.ts";

const lifetimes = fc
  .array(fc.record({ byteLength: fc.integer({ min: 1, max: 100 }), first: fc.nat(20), span: fc.nat(6) }), {
    maxLength: 30,
  })
  .map((list) => list.map(({ byteLength, first, span }, id) => ({ id, byteLength, first, last: first + span })));

test("values alive together never share a buffer, and every buffer is large enough", () => {
  fc.assert(
    fc.property(lifetimes, (values) => {
      const { bufferOf, byteLengths } = placeValues(values);
      for (const a of values) {
        const buffer = bufferOf.get(a.id) as number;
        assert.ok((byteLengths[buffer] as number) >= a.byteLength);
        for (const b of values) {
          const apart = a.last < b.first || b.last < a.first;
          if (a.id !== b.id && !apart) assert.is.not(buffer, bufferOf.get(b.id));
        }
      }
    }),
    { numRuns: 300, seed: 7 },
  );
});

test("a chain of values ping-pongs between two buffers", () => {
  const chain = Array.from({ length: 10 }, (_, i) => ({ id: i, byteLength: 64, first: i, last: i + 1 }));
  assert.is(placeValues(chain).byteLengths.length, 2);
});

test.run();
