/** A row's bits depend on its own context alone, and kernels of one summation class agree in all of them. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { attentionKernels } from "../../src/kernels/attention/attention.ts";
import type { Kernel } from "../../src/kernels/kernel.ts";
import { type Chunk, noise, problem } from "../support/attention-problem.ts";
import { testDevice } from "../support/device.ts";
import { runKernel } from "../support/run-kernel.ts";

const SHAPE = { heads: 4, kv_heads: 2, head_dim: 20, maxRows: 128 };
/** Rows before position 23 see all that is behind them, the others a window that starts inside a key block. */
const WINDOW = 23;

/** One prompt in one chunk; the same rows shuffled singly among another sequence's; the end of it; one row alone. */
function packings(): readonly (readonly Chunk[])[] {
  const single = (sequence: number, first: number): Chunk => ({ sequence, first, count: 1 });
  const among = [
    ...Array.from({ length: 70 }, (_, position) => single(0, position)),
    ...Array.from({ length: 50 }, (_, position) => single(1, 2 * position)),
  ];
  const next = noise(5);
  const shuffled = among.map((chunk) => ({ chunk, key: next() })).sort((a, b) => a.key - b.key);
  return [
    [{ sequence: 0, first: 0, count: 70 }],
    shuffled.map(({ chunk }) => chunk),
    [{ sequence: 0, first: 41, count: 29 }, single(1, 98)],
    [single(0, 69)],
  ];
}

/** Rows of z by sequence and position, as bits. */
async function rowsOf(kernel: Kernel, chunks: readonly Chunk[]): Promise<Map<string, string>> {
  const given = problem({ ...SHAPE, window: WINDOW, chunks });
  const result = await runKernel(await testDevice(), kernel, { ...given, maxRows: SHAPE.maxRows });
  const width = SHAPE.heads * SHAPE.head_dim;
  const bits = new Uint32Array(result.get("z") ?? new ArrayBuffer(0));
  return new Map(
    given.step.rows.map(({ sequence, position }, row) => [
      `sequence ${sequence}, position ${position}`,
      bits.subarray(row * width, (row + 1) * width).join(),
    ]),
  );
}

test("every kernel gives a row the same bits in every packing, and its class the same bits in every kernel", async () => {
  const known = new Map<string, Map<string, string>>();
  for (const family of ["register", "tiled"] as const) {
    for (const { kernel } of attentionKernels({ ...SHAPE, taps: [] }, { family, reference: false })) {
      const ofClass = known.get(kernel.summation) ?? new Map<string, string>();
      known.set(kernel.summation, ofClass);
      for (const [packing, chunks] of packings().entries()) {
        for (const [row, bits] of await rowsOf(kernel, chunks)) {
          const before = ofClass.get(row);
          if (before === undefined) ofClass.set(row, bits);
          else assert.ok(before === bits, `${kernel.name}, packing ${packing}: ${row} has other bits than before`);
        }
      }
    }
  }
  assert.equal([...known.keys()], ["attention_online4", "attention_decode8", "attention_tiled32"]);
});

test.run();
