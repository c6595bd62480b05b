/** Step 2 of the matrix: the folders that the engine makes of a model, and the bundles that importers make, in Node. */
import { mkdir, open, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  bakeModel,
  type ChangedModel,
  type ImportOptions,
  importBundle,
  loadBundle,
  quantizeModel,
  readModelConfig,
  writeBundle,
} from "../../src/index.ts";
import { location, readJson } from "../../test/support/files.ts";
import { folderOf, type OracleCase, type OracleModel, readCases, WORK } from "./files.ts";

/** What foreign_files.py wrote for an importer. */
interface Foreign {
  readonly title: string;
  readonly folder: string;
  readonly options: ImportOptions;
}

/** An input of the carriers, whose vocabulary has 96 ids, with its prompt's length. */
const TOKENS = [17, 4, 88, 31, 7, 60, 23, 4, 91, 12, 45, 31];
const PROMPT_LENGTH = 8;

export async function prepareModel(listed: OracleModel): Promise<void> {
  if (listed.imports) return importAll(listed);
  const plain = location(folderOf(listed, "model"));
  for (const format of ["q8", "q4", "mlx4"] as const) await write(listed, format, await quantizeModel(plain, format));
  const bundle = await loadBundle(location(`${WORK}/${listed.name}/baked.safetensors`));
  const baked = await bakeModel(plain, [bundle]);
  await write(listed, "baked", baked);
  if (!baked.remainder) throw new Error(`${listed.name}: a stage with a gate was baked`);
  await writeFile(location(`${WORK}/${listed.name}/remainder.safetensors`), writeBundle(baked.remainder));
}

async function write(listed: OracleModel, folder: string, changed: ChangedModel): Promise<void> {
  const place = location(folderOf(listed, folder));
  await mkdir(place, { recursive: true });
  try {
    for (const { name, read } of changed.files) {
      const file = await open(join(place, name), "w");
      try {
        for await (const bytes of read()) await file.write(bytes);
      } finally {
        await file.close();
      }
    }
  } finally {
    await changed.close();
  }
}

/** Bundles of foreign files, and a case for each. */
async function importAll(listed: OracleModel): Promise<void> {
  const folder = `${WORK}/${listed.name}`;
  const config = await readModelConfig(location(`${folder}/model`));
  const cases: OracleCase[] = await readCases(listed);
  for (const [index, { folder: name, options }] of (
    await readJson<Foreign[]>(`${folder}/foreign/imports.json`)
  ).entries()) {
    const place = location(`${folder}/foreign/${name}`);
    const files = new Map<string, Uint8Array>();
    for (const file of await readdir(place)) files.set(file, await readFile(join(place, file)));
    const [first = ""] = files.keys();
    const bundle = await importBundle(files, files.size > 1 ? name : first, config, options);
    await writeFile(location(`${folder}/${index}.safetensors`), writeBundle(bundle));
    const common = { column: "imported", model: "model", positions: {}, captures: [] } as const;
    const run = { tokens: TOKENS, prompt_length: PROMPT_LENGTH };
    cases.push({ id: `${index}`, ...common, ...run, bundle: `${index}.safetensors` });
  }
  await writeFile(location(`${folder}/cases.json`), JSON.stringify(cases));
}
