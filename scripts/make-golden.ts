/**
 * Makes the golden files again: what each file under test/golden that ends with `.expected.safetensors` holds, computed
 * in float64 by test/reference from the models, bundles and cases beside it.
 *
 *   npx tsx scripts/make-golden.ts                  all of them, in place: some minutes
 *   npx tsx scripts/make-golden.ts gpt2-tiny        of one model
 *   npx tsx scripts/make-golden.ts --out FOLDER     to FOLDER/MODEL/…, and nothing in place
 *
 * Says for each file how far it is from the one that was there. For a new case, add it to cases.json with a bundle
 * beside it, and run this.
 */
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { parseSafetensors, storeFloat32, toFloat32, writeSafetensors } from "../src/formats/safetensors.ts";
import { type GoldenFile, type GoldenTensor, goldenFiles, goldenModels } from "../test/reference/golden-files.ts";

const { values, positionals } = parseArgs({ allowPositionals: true, options: { out: { type: "string" } } });
const unknown = positionals.find((name) => !goldenModels.some((model) => model === name));
if (unknown !== undefined) {
  console.error(`There is no ${unknown} among ${goldenModels.join(", ")}`);
  process.exit(2);
}

for (const name of positionals.length > 0 ? positionals : goldenModels) {
  for await (const { path, tensors } of goldenFiles(name)) {
    const difference = existsSync(path) ? await differenceFrom(path, tensors) : "new";
    const target = values.out === undefined ? path : join(values.out, name, basename(path));
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, bytesOf(tensors));
    console.log(`${path.padEnd(72)} ${difference}`);
  }
}

function bytesOf(tensors: GoldenFile["tensors"]): Uint8Array {
  const stored = [...tensors].map(
    ([key, { shape, data }]) => [key, storeFloat32(Float32Array.from(data), shape)] as const,
  );
  return writeSafetensors(new Map(stored));
}

/** The greatest difference of a number, over the greatest number of its tensor. */
async function differenceFrom(path: string, tensors: ReadonlyMap<string, GoldenTensor>): Promise<string> {
  let worst = 0;
  for (const [name, stored] of parseSafetensors(new Uint8Array(await readFile(path))).tensors) {
    const before = toFloat32(stored);
    const now = tensors.get(name)?.data;
    if (now?.length !== before.length) return `${name} has another size`;
    const scale = before.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
    for (const [i, value] of before.entries()) worst = Math.max(worst, Math.abs(value - (now[i] as number)) / scale);
  }
  return worst.toExponential(1);
}
