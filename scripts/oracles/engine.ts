/** Step 4 of the matrix: every case in the engine, against what transformers computed. Runs in Node and in a page. */
import { logitsOf } from "../../src/compile/plan.ts";
import { parseSafetensors } from "../../src/formats/safetensors.ts";
import { loadBundle, type Model } from "../../src/index.ts";
import { location } from "../../test/support/files.ts";
import { load } from "../../test/support/load.ts";
import { folderOf, type OracleCase, type OracleModel, readCases, readFileOf } from "./files.ts";

/** How far a case, or one site of it, is from transformers. */
export interface CaseResult {
  readonly model: string;
  readonly id: string;
  readonly column: string;
  readonly site: string;
  /** Largest difference. */
  readonly error: number;
  /** Largest value of transformers. */
  readonly largest: number;
  /** Of the bits that the engine gave. */
  readonly digest: string;
  /** What the engine said in place of a result. */
  readonly fault?: string;
}

/** Columns with a case for everything of a kind. */
const SWEPT: readonly string[] = ["neurons", "affine", "edges", "imported"];

/**
 * Runs a model's cases, folder by folder.
 * @param every runs one in so many of the columns that sweep
 */
export async function runModel(listed: OracleModel, every = 1): Promise<CaseResult[]> {
  const cases = (await readCases(listed)).filter(({ column }, index) => !SWEPT.includes(column) || index % every === 0);
  const { tensors } = parseSafetensors(await readFileOf(listed, "expected.safetensors"));
  const results: CaseResult[] = [];
  for (const folder of new Set(cases.map(({ model }) => model))) {
    const plain = await load(location(folderOf(listed, folder)));
    try {
      for (const each of cases.filter(({ model }) => model === folder)) {
        const about = { model: listed.name, id: each.id, column: each.column };
        try {
          for (const [site, { values, first }] of await run(plain, listed, each)) {
            const name = site === "logits" ? (each.as ?? each.id) : `${each.id}/${site}`;
            const expected = tensors.get(name);
            if (expected?.dtype !== "F64") throw new Error(`expected.safetensors has no ${name} in float64`);
            const wanted = new Float64Array(expected.bytes.slice().buffer).subarray(first);
            results.push({ ...about, site, ...compare(values, wanted), digest: digestOf(values) });
          }
        } catch (error) {
          results.push({ ...about, site: "logits", error: Infinity, largest: 1, digest: "", fault: String(error) });
        }
      }
    } finally {
      plain.dispose();
    }
  }
  return results;
}

/** What the engine gave, and the first value of transformers that it stands for. */
interface Found {
  readonly values: Float32Array;
  readonly first: number;
}

async function run(plain: Model, listed: OracleModel, each: OracleCase): Promise<ReadonlyMap<string, Found>> {
  const { tokens, prompt_length: promptLength, captures, column } = each;
  // What was baked is no longer a stage; what no weight takes still is one.
  const file = column === "baked" ? "remainder.safetensors" : each.bundle;
  const bundles = file === null ? [] : [await loadBundle(await readFileOf(listed, file))];
  const model =
    bundles.length === 0 ? plain : plain.with(bundles, { positions: new Map(Object.entries(each.positions)) });
  if (captures.length > 0) {
    const found = await model.capture(tokens, captures);
    return new Map([...found].map(([site, { data }]) => [site, { values: data, first: 0 }]));
  }
  if (each.as !== undefined) return new Map([["logits", await stepped(model, tokens, promptLength)]]);
  const { data } = await model.logits(tokens, { promptLength });
  return new Map([["logits", { values: data, first: 0 }]]);
}

/** The prompt in one step, then token by token from the cache: the logits from the prompt's last token on. */
async function stepped(model: Model, tokens: readonly number[], promptLength: number): Promise<Found> {
  const sequences = await model.openSequences({ context: tokens.length });
  const { vocab_size } = model.config;
  const { stride } = logitsOf(sequences.plan);
  const rows: Float32Array[] = [];
  try {
    sequences.beginPrompt(0, promptLength);
    for (const part of [tokens.slice(0, promptLength), ...tokens.slice(promptLength).map((token) => [token])]) {
      const steps = sequences.feed([{ sequence: 0, tokens: part, outs: "last" }], {
        head: "logits",
        tail: "none",
        reads: () => [{ role: { role: "logits" }, offset: 0, byteLength: stride * 4 }],
      });
      for await (const { bytes } of steps) {
        if (bytes[0]) rows.push(new Float32Array(bytes[0]).slice(0, vocab_size));
      }
    }
  } finally {
    sequences.dispose();
  }
  const values = new Float32Array(rows.length * vocab_size);
  for (const [index, row] of rows.entries()) values.set(row, index * vocab_size);
  return { values, first: (tokens.length - rows.length) * vocab_size };
}

function compare(found: Float32Array, wanted: Float64Array): { readonly error: number; readonly largest: number } {
  if (found.length !== wanted.length) throw new Error(`${found.length} values, not ${wanted.length}`);
  let [error, largest] = [0, 0];
  for (const [index, value] of wanted.entries()) {
    const difference = Math.abs((found[index] as number) - value);
    error = Number.isNaN(difference) ? Infinity : Math.max(error, difference);
    largest = Math.max(largest, Math.abs(value));
  }
  return { error, largest };
}

/** FNV-1a over the words of the values. */
function digestOf(values: Float32Array): string {
  let state = 2166136261;
  for (const word of new Uint32Array(values.buffer, values.byteOffset, values.length)) {
    state = Math.imul(state ^ word, 16777619) >>> 0;
  }
  return state.toString(16);
}
