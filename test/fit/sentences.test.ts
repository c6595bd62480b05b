/** Which tokens of sentences and conversations fits read: against the characters that tokens stand for. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readClasses, readSentences, type Sentence, type SentenceOptions } from "../../src/fit/sentences.ts";
import type { ChatMessage, Tokenizer } from "../../src/tokenizer/tokenizer.ts";
import { codeOf } from "../support/refusal-code.ts";
import { loaded } from "../tokenizer/tokenizer-of.ts";

const gpt2 = { architecture: "gpt2", vocab_size: 50257 } as const;
const CHATML =
  "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content | trim }}<|end|>\n{% endfor %}" +
  "{% if add_generation_prompt %}<|assistant|>\n{% endif %}";
/** Trims nothing, and goes on with text that a tokenizer may join to the message. */
const PLAIN =
  "{% for m in messages %}{{ m.role }}: {{ m.content }}\n\n{% endfor %}{% if add_generation_prompt %}A:{% endif %}";

const withTemplate = (template?: string): Promise<Tokenizer> =>
  loaded({ "tokenizer_config.json": template === undefined ? {} : { chat_template: template } }, gpt2);

const read = (tokenizer: Tokenizer | null, sentence: Sentence, options: SentenceOptions) =>
  readSentences({ tokenizer }, [sentence], options, "max", "Sentence").sentences[0] ?? { tokens: [], end: 0 };

/** The number of tokens, from the first on, whose text reaches a character. */
function tokensUpTo(tokenizer: Tokenizer, ids: readonly number[], characters: number): number {
  let count = 0;
  while (
    tokenizer.decode(ids.slice(0, count), { skipSpecialTokens: false }).replace(/\ufffd+$/, "").length < characters
  ) {
    count++;
  }
  return count;
}

const user = (content: string): ChatMessage => ({ role: "user", content });
const CONTENTS = ["Hi", "Hi!", "What is 2+2?", "naïve café ☕", "日本語", "a\n\nb", "x<|end|>\n<|assistant|>\n", "..."];

for (const [name, template] of Object.entries({ CHATML, PLAIN })) {
  test(`${name}: last-instruction is the token of the instruction's last character`, async () => {
    const tokenizer = await withTemplate(template);
    for (const content of CONTENTS) {
      const conversations: readonly (readonly ChatMessage[])[] = [
        [user(content)],
        [{ role: "system", content }, user("Before."), { role: "assistant", content }, user(content)],
        [user(content), { role: "assistant", content: `${content} ${content}` }],
      ];
      for (const conversation of conversations) {
        const { tokens, end } = read(tokenizer, conversation, { chat: true, token: "last-instruction" });
        const addGenerationPrompt = conversation.at(-1)?.role === "user";
        const text = tokenizer.applyChatTemplate(conversation, { addGenerationPrompt });
        assert.equal(tokens, tokenizer.encode(text, { addSpecialTokens: false }));
        const shown = template === CHATML ? content.trim() : content;
        const opening = template === CHATML ? "<|user|>\n" : "user: ";
        const last = text.lastIndexOf(opening + shown) + opening.length + shown.length;
        assert.is(end, tokensUpTo(tokenizer, tokens, last), JSON.stringify(text));
      }
    }
  });
}

test("a text is the user's only message; parts of a message are read too", async () => {
  const tokenizer = await withTemplate(CHATML);
  const options = { chat: true, token: "last-instruction" } as const;
  assert.equal(read(tokenizer, "Hello there", options), read(tokenizer, [user("Hello there")], options));
  const parts = "{% for m in messages %}[{% for p in m.content %}{{ p.text }}{% endfor %}]{% endfor %}";
  const inParts = [
    {
      role: "user",
      content: [
        { type: "text", text: "Good " },
        { type: "text", text: "day" },
      ],
    },
  ];
  const other = await withTemplate(parts);
  const { tokens, end } = read(other, inParts, options);
  assert.is(other.decode(tokens.slice(0, end)), "[Good day");
});

test("indices from both ends, and means of the last tokens", async () => {
  const ids = [5, 6, 7, 8];
  const ends = (token: SentenceOptions["token"]) => read(null, ids, token === undefined ? {} : { token }).end;
  assert.equal([-1, -2, -4, 0, 3, "mean:4" as const, undefined].map(ends), [4, 3, 1, 1, 4, 4, 4]);
  assert.equal(read(null, ids, { maxTokens: 3, token: -1 }), { tokens: [5, 6, 7], end: 3 });
  const classes = { positive: [[1], [2, 3]], negative: [[4]] };
  assert.equal(readClasses({ tokenizer: null }, { ...classes, token: -1 }, "max").pooling, "last");
  assert.equal(readClasses({ tokenizer: null }, { ...classes, token: "mean:1" }, "max").pooling, "mean:1");
  assert.equal(readClasses({ tokenizer: null }, classes, "max").pooling, "max");
});

test("what cannot be read is refused, naming the sentence", async () => {
  const tokenizer = await withTemplate(CHATML);
  const plain = await withTemplate();
  const refused: readonly (readonly [of: Tokenizer | null, Sentence, SentenceOptions, code: string, says: RegExp])[] = [
    [null, [1, 2], { token: -3 }, "usage", /Sentence 1 has 2 tokens, so there is no token -3/],
    [null, [1], { token: 1 }, "usage", /Sentence 1 has 1 token, so there is no token 1/],
    [null, [1, 2], { token: "mean:3" }, "usage", /there is no mean:3/],
    [null, [1, 2], { token: "last-instruction" }, "usage", /conversations/],
    [null, [1, 2], { chat: true }, "bad_tokens", /no tokenizer/],
    [tokenizer, [1, 2], { chat: true }, "usage", /Sentence 1 is a list of token ids/],
    [tokenizer, [user("Hi")], {}, "usage", /Sentence 1 is a conversation/],
    [plain, "Hi", { chat: true }, "usage", /Sentence 1: The model has no chat template/],
    [
      tokenizer,
      [{ role: "system", content: "Hi" }],
      { chat: true, token: "last-instruction" },
      "usage",
      /no message of the user/,
    ],
    [tokenizer, " ", { chat: true, token: "last-instruction" }, "usage", /no message of the user has text/],
    [
      tokenizer,
      "Hello there, all",
      { chat: true, token: "last-instruction", maxTokens: 5 },
      "usage",
      /cut to 5 tokens/,
    ],
    [
      await withTemplate("constant"),
      "Hi",
      { chat: true, token: "last-instruction" },
      "usage",
      /leaves the user's message out/,
    ],
  ];
  for (const [of, sentence, options, code, says] of refused) {
    const work = () => read(of, sentence, options);
    assert.is(await codeOf(work), code, String(says));
    assert.throws(work, says);
  }
});

test.run();
