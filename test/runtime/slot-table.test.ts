import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { SlotTable } from "../../src/runtime/slot-table.ts";

test("sequences get slots of their own, and give them back", () => {
  const table = new SlotTable(2, 3);
  const first = [table.append(0), table.append(0), table.append(1)];
  assert.is(new Set(first).size, 3);
  assert.is(table.lengthOf(0), 2);
  table.truncate(0, 0);
  for (let i = 0; i < 3; i++) table.append(0);
  assert.throws(
    () => table.append(0),
    (error: Error & { code?: string }) => error.code === "context_overflow",
  );
});

test("a fork shares its prefix and rolls back alone", () => {
  const table = new SlotTable(2, 4, 5);
  const slots = [table.append(0), table.append(0), table.append(0)];
  table.fork(0, 1, 2);
  assert.equal([...table.table.subarray(4, 6)], slots.slice(0, 2));
  const own = table.append(1);
  assert.not.ok(slots.includes(own));
  table.truncate(0, 0);
  assert.equal([...table.table.subarray(4, 7)], [slots[0], slots[1], own]);
  table.append(0);
  table.append(0);
  assert.throws(() => table.append(0), /KV cache is full/);
});

test("no slot is ever shared by two positions unless by a fork", () => {
  const command = fc.oneof(
    fc.record({ kind: fc.constant("append" as const), sequence: fc.nat(2) }),
    fc.record({ kind: fc.constant("truncate" as const), sequence: fc.nat(2), length: fc.nat(8) }),
  );
  fc.assert(
    fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
      const table = new SlotTable(3, 8, 12);
      for (const step of commands) {
        const full = [0, 1, 2].reduce((sum, s) => sum + table.lengthOf(s), 0) === 12;
        if (step.kind === "truncate") table.truncate(step.sequence, step.length);
        else if (!full && table.lengthOf(step.sequence) < 8) table.append(step.sequence);
        const used = [0, 1, 2].flatMap((s) => [...table.table.subarray(s * 8, s * 8 + table.lengthOf(s))]);
        assert.is(new Set(used).size, used.length);
      }
    }),
    { numRuns: 200, seed: 1 },
  );
});

test("changes cover what was written since last asked", () => {
  const table = new SlotTable(2, 4);
  table.append(1);
  table.append(1);
  assert.equal(table.takeChanges(), { from: 4, to: 6 });
  const { from, to } = table.takeChanges();
  assert.ok(from >= to);
});

test.run();
