/** Tokens drawn under a grammar's masks spell JSON of the schema, for byte-level and SentencePiece vocabularies. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { SluiceError } from "../../src/errors.ts";
import { grammarFor, type ResponseFormat } from "../../src/model/response-format.ts";
import { mulberry32 } from "../../src/numbers/sampling.ts";
import type { Tokenizer } from "../../src/tokenizer/tokenizer.ts";
import { readText } from "../support/files.ts";
import { tokenizerOf } from "../tokenizer/tokenizer-of.ts";

const test = suite("constrained tokens");

const schema = {
  type: "object",
  properties: {
    title: { type: "string", maxLength: 12 },
    level: { enum: ["low", "high", 3, null] },
    parts: { type: "array", items: { type: "integer", minimum: -5, maximum: 250 }, maxItems: 3 },
  },
  required: ["title", "level", "parts"],
  additionalProperties: false,
};
const format: ResponseFormat = { type: "json_schema", json_schema: { schema } };

async function tokenizers(): Promise<readonly (readonly [name: string, tokenizer: Tokenizer, vocabSize: number])[]> {
  const stories = await readText("weights/stories260K/tokenizer.json");
  return [
    [
      "GPT-2",
      (await tokenizerOf({}, { architecture: "gpt2", vocab_size: 50257, eos_token_ids: [50256] })) as Tokenizer,
      50257,
    ],
    ["stories260K", (await tokenizerOf({ "tokenizer.json": stories })) as Tokenizer, 512],
  ];
}

test("spell JSON that fits", async () => {
  for (const [name, tokenizer, vocabSize] of await tokenizers()) {
    const stop = tokenizer.eosTokenId ?? 2;
    const grammar = await grammarFor(format, { tokenizer, vocabSize, stopTokens: [stop] });
    assert.ok(grammar);
    const random = mulberry32(5);
    for (let i = 0; i < 8; i++) {
      const constraint = grammar.begin();
      const ids: number[] = [];
      while (!constraint.isDone) {
        const mask = constraint.mask();
        const allowed = Array.from({ length: vocabSize }, (_, id) => id).filter(
          (id) => ((mask[id >> 5] as number) >>> (id & 31)) & 1,
        );
        assert.not(allowed.includes(stop) && !constraint.isComplete, `${name}: the end comes too early`);
        const id = allowed[Math.floor(random() * allowed.length)] as number;
        ids.push(id);
        constraint.accept(id);
        assert.ok(ids.length < 500, `${name}: the text does not end`);
      }
      const text = tokenizer.decode([tokenizer.bosTokenId ?? 50256, ...ids]);
      const { title, level, parts } = JSON.parse(text) as { title: string; level: unknown; parts: number[] };
      assert.ok([...title].length <= 12, text);
      assert.ok((schema.properties.level.enum as unknown[]).includes(level), text);
      assert.ok(parts.length <= 3 && parts.every((part) => Number.isInteger(part) && part >= -5 && part <= 250), text);
    }
  }
});

test("a number ends where the model ends it", async () => {
  const [, tokenizer, vocabSize] = (await tokenizers())[0] as readonly [string, Tokenizer, number];
  const wanted: ResponseFormat = { type: "json_schema", json_schema: { schema: { type: "integer" } } };
  const grammar = await grammarFor(wanted, { tokenizer, vocabSize, stopTokens: [50256] });
  const constraint = grammar?.begin();
  constraint?.accept(tokenizer.encode("42")[0] as number);
  const mask = constraint?.mask() as Uint32Array;
  assert.ok(constraint?.isComplete);
  assert.is(((mask[50256 >> 5] as number) >>> (50256 & 31)) & 1, 1);
});

test("framed JSON begins and ends as it should", async () => {
  const [, tokenizer, vocabSize] = (await tokenizers())[1] as readonly [string, Tokenizer, number];
  const framed: ResponseFormat = {
    type: "framed_json",
    framed_json: [
      { begin: "<a>", schema: { type: "null" }, end: "</a>" },
      { begin: "<b>", schema: { const: 1 }, end: "</b>" },
    ],
  };
  const grammar = await grammarFor(framed, { tokenizer, vocabSize, stopTokens: [2] });
  for (const [text, isDone] of [
    ["<a>null</a>", true],
    ["<b>1</b>", true],
    ["<b>1", false],
  ] as const) {
    let state = grammar?.automaton.start;
    for (const byte of new TextEncoder().encode(text))
      state = state && (grammar?.automaton.follow(state, byte) ?? undefined);
    assert.is(state?.isEnd, isDone, text);
  }
});

test("needs a tokenizer", async () => {
  try {
    await grammarFor(format, { tokenizer: null, vocabSize: 8, stopTokens: [] });
    assert.unreachable();
  } catch (error) {
    assert.is((error as SluiceError).code, "bad_tokens");
  }
  assert.is(await grammarFor({ type: "text" }, { tokenizer: null, vocabSize: 8, stopTokens: [] }), undefined);
});

test.run();
