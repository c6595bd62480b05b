/**
 * The data of docs/study-shakespeare.md: plays and tales, each file split by documents into texts for fits and texts for
 * judges, and the former cut into pieces of 24 tokens.
 *
 *   npx tsx scripts/study-shakespeare-data.ts FOLDER
 *
 * Writes plays.jsonl, tales.jsonl (pieces for fits, as tokens, from even documents), plays-judge.jsonl, tales-judge.jsonl
 * (odd documents, as text), and two lists of openings: judged.txt, and held-out.txt for choosing settings.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { load } from "../src/index.ts";

const PIECE = 24;
const PIECES = 300;
const judged = ["The", "And", "He said", "What", "It was", "When", "She", "There", "Then", "I"];
const heldOut = ["But", "They", "So", "Now", "If", "You"];

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error("Usage: npx tsx scripts/study-shakespeare-data.ts FOLDER");

const model = await load("weights/gpt2-stories");
const { tokenizer } = model;
if (!tokenizer) throw new Error("weights/gpt2-stories has no tokenizer");
await mkdir(folder, { recursive: true });
for (const name of ["plays", "tales"]) {
  const lines = (await readFile(`test/data/${name}.jsonl`, "utf8")).trimEnd().split("\n");
  const pieces = lines
    .filter((_, document) => document % 2 === 0)
    .map((line) => tokenizer.encode((JSON.parse(line) as { text: string }).text, { addSpecialTokens: false }))
    .flatMap((tokens) =>
      Array.from({ length: Math.floor(tokens.length / PIECE) }, (_, i) => tokens.slice(i * PIECE, (i + 1) * PIECE)),
    );
  // Spread over the whole file, and in an order in which the first few are too: 37 and 300 have no common factor.
  const places = Array.from({ length: PIECES }, (_, i) => Math.floor((((i * 37) % PIECES) * pieces.length) / PIECES));
  const chosen = places.map((place) => pieces[place] ?? []);
  await write(
    `${name}.jsonl`,
    chosen.map((tokens) => JSON.stringify({ tokens })),
  );
  await write(
    `${name}-judge.jsonl`,
    lines.filter((_, document) => document % 2 === 1),
  );
}
await write("judged.txt", judged);
await write("held-out.txt", heldOut);
model.dispose();

async function write(name: string, lines: readonly string[]): Promise<void> {
  await writeFile(join(folder as string, name), `${lines.join("\n")}\n`);
}
