/**
 * Texts for the edges of docs/study-shakespeare.md: what the plain model itself writes after neutral openings, sorted into
 * Shakespeare-like and not.
 *
 *   npx tsx scripts/study-shakespeare-own.ts FOLDER [--each 40] [--keep 12] [--with BUNDLE] [--name own] [--unknown N]
 *
 * FOLDER is what study-shakespeare-data.ts wrote; with a bundle it is the edited model that speaks. Continues each of 20
 * openings, none of which is judged in the study, that many times by 24 tokens at temperature 1, sorts them by unigram
 * log-odds fitted on the pieces that fits see, and writes the openings followed by the first tokens:
 * NAME-plays.jsonl and NAME-tales.jsonl. A text with more than N tokens that no document of the fits' half holds is in
 * neither, for it is in no register.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { fitUnigramClassifier, load, loadBundle } from "../src/index.ts";
import { knownTokens, openings, pieces } from "./study-shakespeare-texts.ts";

/** Openings continued side by side. */
const BATCH = 20;
const NEW_TOKENS = 24;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    each: { type: "string", default: "40" },
    keep: { type: "string", default: "12" },
    with: { type: "string" },
    name: { type: "string", default: "own" },
    unknown: { type: "string", default: "Infinity" },
  },
});
const [folder] = positionals;
if (folder === undefined) throw new Error("Name the folder that study-shakespeare-data.ts wrote");
const judge = fitUnigramClassifier(
  { positive: await pieces(folder, "plays"), negative: await pieces(folder, "tales") },
  { method: "log-odds" },
);

const plain = await load("weights/gpt2-stories");
const model = values.with === undefined ? plain : plain.with([{ bundle: await loadBundle(values.with) }]);
const { tokenizer } = plain;
if (!tokenizer) throw new Error("weights/gpt2-stories has no tokenizer");
const known = await knownTokens(tokenizer);
const session = await model.session({ sequences: BATCH, context: NEW_TOKENS + 8 });
const own: Record<"plays" | "tales", string[]> = { plays: [], tales: [] };
for (let i = 0; i < Number(values.each); i++) {
  const prompts = openings.map((text) => tokenizer.encode(text, { addSpecialTokens: false }));
  const results = await session.generateBatch(prompts, {
    maxNewTokens: NEW_TOKENS,
    temperature: 1,
    seeds: prompts.map((_, j) => 1_000_000 + i * BATCH + j),
  });
  for (const [j, { tokens }] of results.entries()) {
    const kept = [...(prompts[j] as readonly number[]), ...tokens.slice(0, Number(values.keep))];
    if (kept.filter((token) => !known.has(token)).length > Number(values.unknown)) continue;
    own[judge.score(tokens) > 0 ? "plays" : "tales"].push(JSON.stringify({ tokens: kept }));
  }
}
for (const [name, lines] of Object.entries(own))
  await writeFile(join(folder, `${values.name}-${name}.jsonl`), `${lines.join("\n")}\n`);
console.log(`${own.plays.length} Shakespeare-like, ${own.tales.length} others`);
session.dispose();
plain.dispose();
