/**
 * Writes the golden cases' bundles as other projects' files, for python/tests/test_exported.py:
 *
 *   npx tsx scripts/export-golden.ts FOLDER
 *
 * FOLDER/MODEL/ has hooks for each bundle, the vectors of one as .npz, and a LoReFT folder.
 */
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { exportBundle, readBundle } from "../src/index.ts";

const [target] = process.argv.slice(2);
if (target === undefined) throw new Error("Name a folder");
const golden = new URL("../test/golden/", import.meta.url);

for (const model of ["gpt2-tiny", "llama-tiny", "llama3-tiny"]) {
  const folder = new URL(`${model}/`, golden);
  const files = (await readdir(folder)).filter((name) => /^(?!model|.*expected).*\.safetensors$/.test(name));
  for (const file of files) {
    const name = file.replace(/\.safetensors$/, "");
    const bundle = readBundle(await readFile(new URL(file, folder)), file);
    await write(join(target, model), await exportBundle(bundle, "hf-hooks", { name }));
    if (name === "addition-generated") await write(join(target, model), await exportBundle(bundle, "npz", { name }));
    if (name === "ace-resid_post")
      await write(join(target, model, "reft"), await exportBundle(bundle, "pyreft", { name }));
  }
}

async function write(folder: string, files: ReadonlyMap<string, Uint8Array>): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [name, bytes] of files) await writeFile(join(folder, name), bytes);
}
