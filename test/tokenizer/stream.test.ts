import { array, assert as check, integer, property } from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readJson } from "../support/files.ts";
import { loaded, streamed } from "./tokenizer-of.ts";

/** Ids in no order: most sequences of them are no UTF-8. */
const ids = (vocabSize: number) => array(integer({ min: 0, max: vocabSize + 5 }), { maxLength: 40 });

const tokenizers = async () => [
  await loaded({}, { architecture: "gpt2", vocab_size: 50257 }),
  await loaded({ "tokenizer.json": await readJson("weights/stories260K/tokenizer.json") }),
];

test("the pieces of any ids join to their decoded text", async () => {
  for (const tokenizer of await tokenizers()) {
    check(
      property(ids(tokenizer.vocabSize), (sequence) => {
        const whole = tokenizer.decode(sequence);
        // Of byte tokens that are not UTF-8 together, `decode` replaces all, and the stream has shown some.
        const isReplaced = tokenizer.vocabSize === 512 && whole.includes("\ufffd");
        return isReplaced || streamed(tokenizer, sequence) === whole;
      }),
    );
  }
});

test("prompt and continuation together are the text of the whole, wherever it is cut", async () => {
  for (const tokenizer of await tokenizers()) {
    const whole = tokenizer.encode("Once upon a time, there was a 🦙 named Zoë.");
    for (let cut = 0; cut <= whole.length; cut++) {
      const prompt = tokenizer.decode(whole.slice(0, cut)).replace(/\ufffd+$/, "");
      assert.is(prompt + streamed(tokenizer, whole.slice(cut), whole.slice(0, cut)), tokenizer.decode(whole));
    }
  }
});

test("no piece holds half a character", async () => {
  for (const tokenizer of await tokenizers()) {
    const stream = tokenizer.stream();
    for (const id of tokenizer.encode("👩‍🚀 é 中 ﬁ 🏳️‍🌈")) {
      const piece = stream.push(id);
      assert.not.match(piece, /[\ufffd\p{Surrogate}]/u);
    }
  }
});

test.run();
