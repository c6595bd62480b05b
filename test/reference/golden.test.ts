/** Every golden file is what the reference makes of its case, so that scripts/make-golden.ts can make it again. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseSafetensors, toFloat32 } from "../../src/formats/safetensors.ts";
import { readBytes } from "../support/files.ts";
import { myTurns } from "../support/turns.ts";
import { type GoldenFile, goldenFiles, goldenModels } from "./golden-files.ts";

/** The files hold float64 results rounded to float32; central differences lose some more. */
const TOLERANCE = 1e-6;
/**
 * Two sentences that begin with one token respond alike to it, which counts as half a win; where the files were first
 * made, rounding decided. One such pair moves AUROC by this much, and AurA's factor by twice as much.
 */
const HALF_A_WIN = 0.5 / (24 * 31);
/** Of each gradient this many edges, evenly spread; the script computes them all. */
const EDGES = 4;

// No device takes part: it is the same arithmetic in Node and in a page.
for (const name of myTurns(goldenModels)) {
  test(`${name}: files made again are the committed ones`, async () => {
    for await (const file of goldenFiles(name, EDGES)) await assertSame(file);
  });
}

async function assertSame({ path, tensors, edges }: GoldenFile): Promise<void> {
  const committed = parseSafetensors(await readBytes(path)).tensors;
  assert.equal([...tensors.keys()].sort(), [...committed.keys()].sort(), path);
  for (const [tensor, stored] of committed) {
    const what = `${path}: ${tensor}`;
    const made = tensors.get(tensor);
    assert.equal(made?.shape, stored.shape, what);
    const expected = toFloat32(stored);
    const places = tensor === "gradient" && edges ? edges : expected.keys();
    const scale = expected.reduce((most, value) => Math.max(most, Math.abs(value)), tensor === "gradient" ? 0 : 1);
    let worst = 0;
    for (const i of places) worst = Math.max(worst, Math.abs((made?.data[i] as number) - (expected[i] as number)));
    const tie = tensor.startsWith("auroc.") ? HALF_A_WIN : tensor.startsWith("alpha.") ? 2 * HALF_A_WIN : 0;
    assert.ok(worst <= TOLERANCE * scale + tie, `${what}: off by ${worst}, values up to ${scale}`);
  }
}

test.run();
