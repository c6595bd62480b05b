// Writes src/tokenizer/gpt2-merges.gen.ts: the 50,000 merges of GPT-2's BPE, taken from the package `gpt-tokenizer`.
// That package lists the bytes of every token in the order of the merges; which two tokens a token was merged from
// follows, because the merges before it leave exactly two of its bytes. test/tokenizer/gpt2.test.ts compares the result with
// the package, token by token.
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const target = join(dirname(fileURLToPath(import.meta.url)), "../src/tokenizer/gpt2-merges.gen.ts");
const { version } = createRequire(import.meta.url)("gpt-tokenizer/package.json");
const header = `// Made by scripts/embed-gpt2.mjs from gpt-tokenizer ${version}. Do not edit it.\n`;

if (!existsSync(target) || !readFileSync(target, "utf8").startsWith(header)) {
  const text =
    header +
    "/**\n" +
    " * For each merge, in order, the ids of the two tokens that it joins: two bytes each, low byte first, in base64.\n" +
    " * Tokens 0 to 255 are the byte-level characters by their code points; merge i makes token 256 + i.\n" +
    " */\n" +
    `export const gpt2Merges: string = "${Buffer.from((await findMerges()).buffer).toString("base64")}";\n`;
  // Whole or not at all: a test or a build may be reading the file at this moment.
  const fresh = `${target}.${process.pid}`;
  writeFileSync(fresh, text);
  renameSync(fresh, target);
}

/** Pairs of ids, one after another. @returns {Promise<Uint16Array>} */
async function findMerges() {
  const { default: ranks } = await import("gpt-tokenizer/bpeRanks/r50k_base");
  /** @type {string[]} tokens as Latin-1 texts of their bytes */
  const tokens = ranks.map((piece) =>
    typeof piece === "string" ? Buffer.from(piece, "utf8").toString("latin1") : String.fromCharCode(...piece),
  );
  const rankOf = new Map(tokens.map((token, rank) => [token, rank]));
  const merges = new Uint16Array((tokens.length - 256) * 2);
  for (let rank = 256; rank < tokens.length; rank++) {
    const parts = [...tokens[rank]];
    while (parts.length > 2) {
      let best = rank;
      let at = -1;
      for (let i = 0; i + 1 < parts.length; i++) {
        const joined = rankOf.get(parts[i] + parts[i + 1]) ?? rank;
        if (joined < best) [best, at] = [joined, i];
      }
      if (at < 0) throw new Error(`token ${rank} of gpt-tokenizer is not made of two earlier ones`);
      parts.splice(at, 2, parts[at] + parts[at + 1]);
    }
    merges[(rank - 256) * 2] = rankOf.get(parts[0]);
    merges[(rank - 256) * 2 + 1] = rankOf.get(parts[1]);
  }
  return merges;
}
