/** Texts that are far too long are given up early, and no text that fits is. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { encodeWithin } from "../../src/tokenizer/encode-within.ts";
import { readJson } from "../support/files.ts";
import { loaded } from "./tokenizer-of.ts";

interface Folder {
  readonly name: string;
  readonly config: { readonly model_type: string; readonly vocab_size: number };
  readonly files: Readonly<Record<string, unknown>>;
}

const kinds = [/^GPT-2's class: vocab.json/, /^Llama's class and SentencePiece/, /^SentencePiece's Unigram$/];
const { folders } = await readJson<{ folders: Folder[] }>("test/data/tokenizers/folders.json");
/** What a run of white space, of one letter and of unknown characters becomes differs between them. */
const units = ["The cat sat. ", "a", " ", "🙂"];
const LENGTH = 50_000;
const MOST = 64;

for (const { name, config, files } of folders.filter((each) => kinds.some((kind) => kind.test(each.name)))) {
  test(`${name}: a long text is given up early, and only if it has more tokens than may be`, async () => {
    const { model_type, vocab_size } = config;
    const architecture = model_type === "gpt2" ? "gpt2" : "llama";
    const contents = Object.fromEntries(Object.entries(files).map(([file, content]) => [file, unpacked(content)]));
    const tokenizer = await loaded(contents, { architecture, model_type, vocab_size });
    let read = 0;
    const counting: Pick<typeof tokenizer, "encode"> = {
      encode(text, options) {
        read += text.length;
        return tokenizer.encode(text, options);
      },
    };
    for (const unit of units) {
      const text = unit.repeat(LENGTH / unit.length);
      const all = tokenizer.encode(text);
      read = 0;
      const ids = encodeWithin(counting, text, MOST);
      const what = `${JSON.stringify(unit)}, at most ${MOST} of ${all.length}`;
      if (ids) assert.equal(ids, all, what);
      else assert.ok(all.length > MOST && read < LENGTH / 2, `${what}: ${read} characters were read`);
      assert.is(ids === undefined, all.length > LENGTH / 50, what);
    }
  });
}

test("a text within the bound is read once, with all that is asked for", () => {
  const asked: unknown[] = [];
  const tokenizer = {
    encode(text: string, options: object = {}) {
      asked.push([text.length, Object.keys(options)]);
      return [...text].map(() => 1);
    },
  };
  const onNotice = () => undefined;
  assert.is(encodeWithin(tokenizer, "x".repeat(9), 4, { addSpecialTokens: false, onNotice })?.length, 9);
  assert.equal(asked, [[9, ["addSpecialTokens", "onNotice"]]]);
});

function unpacked(content: unknown): unknown {
  const packed = (content as { readonly base64?: string }).base64;
  return packed === undefined ? content : Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
}

test.run();
