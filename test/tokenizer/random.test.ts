import { test } from "uvu";
import * as assert from "uvu/assert";
import { SluiceError } from "../../src/errors.ts";
import { readJson } from "../support/files.ts";
import { loaded, streamed } from "./tokenizer-of.ts";

/** What make-random.py writes. Null stands for a refusal or a panic of the Rust library. */
interface RandomFile {
  readonly tokenizer: unknown;
  /** Text; its ids with and without special tokens. */
  readonly encode: readonly (readonly [string, number[] | null, number[] | null])[];
  /** Ids; their text without and with special tokens. */
  readonly decode: readonly (readonly [number[], string | null, string | null])[];
}

const { files } = await readJson<{ files: RandomFile[] }>("test/data/tokenizers/random.json");

test("encodes as the Rust library does, whatever the model and the post-processor", async () => {
  for (const [index, { tokenizer: json, encode }] of files.entries()) {
    const tokenizer = await loaded({ "tokenizer.json": json }, { vocab_size: 1000, eos_token_ids: [] });
    for (const [text, framed, plain] of encode) {
      for (const [ids, addSpecialTokens] of [
        [framed, true],
        [plain, false],
      ] as const) {
        const what = `file ${index}, ${JSON.stringify(text)}, special tokens: ${addSpecialTokens}`;
        if (ids) assert.equal(tokenizer.encode(text, { addSpecialTokens }), ids, what);
        else assert.throws(() => tokenizer.encode(text, { addSpecialTokens }), isRefusal, what);
      }
    }
  }
});

test("decodes as the Rust library does, whatever the decoder, and streams the same text", async () => {
  for (const [index, { tokenizer: json, decode }] of files.entries()) {
    const tokenizer = await loaded({ "tokenizer.json": json }, { vocab_size: 1000, eos_token_ids: [] });
    for (const [ids, text, withSpecials] of decode) {
      const what = `file ${index}, ${JSON.stringify(ids)}`;
      if (text !== null) assert.is(tokenizer.decode(ids), text, what);
      if (withSpecials !== null) assert.is(tokenizer.decode(ids, { skipSpecialTokens: false }), withSpecials, what);
      const whole = tokenizer.decode(ids);
      // A run of bytes that is not UTF-8 is replaced as a whole, of which the stream has shown some already.
      if (!whole.includes("\ufffd")) assert.is(streamed(tokenizer, ids), whole, what);
    }
  }
});

function isRefusal(error: unknown): boolean {
  return error instanceof SluiceError;
}

test.run();
