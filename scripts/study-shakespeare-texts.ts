/** What the scripts of docs/study-shakespeare.md share: openings that no judge uses, pieces of texts, known tokens. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Tokenizer } from "../src/index.ts";

/** Openings for fits; none is judged in the study. */
export const openings = "But They So Now If You He We This That My Not For With All One Let How Why Where".split(" ");

/** Token ids of `FOLDER/NAME.jsonl`, one list per line. */
export async function pieces(folder: string, name: string): Promise<number[][]> {
  const lines = (await readFile(join(folder, `${name}.jsonl`), "utf8")).trimEnd().split("\n");
  return lines.map((line) => (JSON.parse(line) as { tokens: number[] }).tokens);
}

/** Tokens in the half of the documents that fits may see, as study-shakespeare-data.ts splits them. */
export async function knownTokens(tokenizer: Tokenizer): Promise<ReadonlySet<number>> {
  const known = new Set<number>();
  for (const name of ["plays", "tales"]) {
    const lines = (await readFile(`test/data/${name}.jsonl`, "utf8")).trimEnd().split("\n");
    for (const line of lines.filter((_, document) => document % 2 === 0)) {
      for (const token of tokenizer.encode((JSON.parse(line) as { text: string }).text)) known.add(token);
    }
  }
  return known;
}
