/** Files of rows: sentences, what a fit has measured, probes, what the tuner remembers. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseCsv } from "../../../src/cli/csv.ts";
import { readDocuments, readLines } from "../../../src/cli/documents.ts";
import { FileStore } from "../../../src/cli/response-store.ts";
import { readProbe, writeProbe } from "../../../src/fit/probe.ts";
import { onDisk } from "../scratch.ts";
import { Broken, type Files, fileOf, type Target } from "../target.ts";

const text = (name: string, content: string): Files => new Map([[name, new TextEncoder().encode(content)]]);

/** The first bytes of the files. */
function beginning(files: Files, bytes: number): Files {
  return new Map([...files].map(([name, content]) => [name, content.slice(0, content.indexOf(10, bytes) + 1)]));
}

const never = new AbortController().signal;

export const jsonLines: Target = {
  name: "jsonl",
  seeds: () => [
    beginning(fileOf("test/data/tales.jsonl", "lines.jsonl"), 5_000),
    text("lines.jsonl", '{"text":"a"}\n{"tokens":[1,2,3]}\n{"text":"b\\u00e9"}\n'),
  ],
  read: (files) =>
    onDisk(files, async (folder) => {
      const path = join(folder, "lines.jsonl");
      for (const rows of [await readLines(path, "sentence", never), await readDocuments(path, never)]) {
        for (const row of rows) {
          const isIds = Array.isArray(row) && row.every((id) => Number.isSafeInteger(id) && id >= 0);
          if (typeof row !== "string" && !isIds) throw new Broken("a row is neither text nor ids");
        }
      }
    }),
};

export const csv: Target = {
  name: "csv",
  seeds: () => [
    text("t.csv", 'text,label\r\n"a, ""b""\nc",1\nd,0\n'),
    text(
      "t.csv",
      `\ufeffid,text,score\n${Array.from({ length: 50 }, (_, i) => `${i},some words ${i},0.${i}`).join("\n")}`,
    ),
  ],
  hasJson: false,
  read: async (files) => {
    for (const [name, bytes] of files) {
      const { rows, columns } = parseCsv(new TextDecoder().decode(bytes), name, ["text", "label", "score"]);
      for (const cells of columns.values()) {
        if (cells.length !== rows) throw new Broken(`a column of ${rows} rows has ${cells.length} cells`);
        if (cells.some((cell) => typeof cell !== "string")) throw new Broken("a cell is not a text");
      }
    }
  },
};

const parts = [
  { rows: 3, width: 5 },
  { rows: 2, width: 7 },
].map((part, i) => ({ ...part, site: `site.${i}` }));
const rowOf = (index: number): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: index < 3 ? 5 : 7 }, (_, i) => index + i / 8);

/** Written as an interrupted fit leaves it. */
async function partialFit(): Promise<Files> {
  let content = new Uint8Array();
  await onDisk(new Map(), async (folder) => {
    const store = await FileStore.open(join(folder, "out"), { inputs: 1 });
    await store.begin(parts);
    await store.append([0, 1, 2].map(rowOf));
    await store.append([3].map(rowOf));
    content = Uint8Array.from(readFileSync(join(folder, "out.partial")));
    await store.close();
  });
  return new Map([["out.partial", content]]);
}
const interrupted = [await partialFit()];

export const partial: Target = {
  name: "partial_fit",
  seeds: () => interrupted,
  hasJson: false,
  read: (files) =>
    onDisk(files, async (folder) => {
      const store = await FileStore.open(join(folder, "out"), { inputs: 1 });
      try {
        const kept = await store.begin(parts);
        let index = 0;
        for await (const rows of store.read(0, kept)) {
          for (const row of rows) {
            const right = rowOf(index);
            if (row.some((value, i) => value !== right[i])) throw new Broken(`row ${index} is not what was measured`);
            index += 1;
          }
        }
        if (index !== kept) throw new Broken(`${kept} rows are kept, and ${index} read`);
      } finally {
        await store.close();
      }
    }),
};

const soundProbe = writeProbe({
  site: "resid_post",
  layer: 1,
  weight: Float32Array.of(0.5, -1, 2),
  bias: 0.25,
  n_positive: 4,
  n_negative: 5,
  held_out: { n: 2, accuracy: 0.5, auroc: 0.75 },
});

export const probe: Target = {
  name: "probe",
  seeds: () => [new Map([["probe.safetensors", soundProbe]])],
  read: async (files) => {
    for (const [name, bytes] of files) {
      const { weight, bias } = readProbe(bytes, name);
      if (![...weight, bias].every(Number.isFinite)) throw new Broken("a probe is not finite");
    }
  },
};
