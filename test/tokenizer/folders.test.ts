import { test } from "uvu";
import * as assert from "uvu/assert";
import { readJson } from "../support/files.ts";
import { loaded } from "./tokenizer-of.ts";

/** What make-folders.py writes: a folder's files, and what transformers makes of them. */
interface Folder {
  readonly name: string;
  readonly config: { readonly model_type: string; readonly vocab_size: number };
  readonly files: Readonly<Record<string, unknown>>;
  readonly bos: number | null;
  readonly eos: number | null;
  /** Text; ids with and without special tokens; the latter's text without and with special tokens. */
  readonly cases: readonly (readonly [string, number[], number[], string, string])[];
}

const { folders } = await readJson<{ folders: Folder[] }>("test/data/tokenizers/folders.json");

for (const { name, config, files, bos, eos, cases } of folders) {
  test(`as transformers: ${name}`, async () => {
    const { model_type, vocab_size } = config;
    const architecture = model_type === "gpt2" ? "gpt2" : "llama";
    const contents = Object.fromEntries(Object.entries(files).map(([file, content]) => [file, unpacked(content)]));
    const tokenizer = await loaded(contents, { architecture, model_type, vocab_size });
    assert.is(tokenizer.bosTokenId ?? null, bos);
    assert.is(tokenizer.eosTokenId ?? null, eos);
    for (const [text, framed, plain, shown, all] of cases) {
      const what = JSON.stringify(text);
      assert.equal(tokenizer.encode(text, { addSpecialTokens: false }), plain, what);
      // The one difference: no second BOS.
      const expected = framed[0] === bos && framed[1] === bos ? framed.slice(1) : framed;
      assert.equal(tokenizer.encode(text), expected, what);
      assert.is(tokenizer.decode(plain), shown, what);
      assert.is(tokenizer.decode(plain, { skipSpecialTokens: false }), all, what);
    }
  });
}

function unpacked(content: unknown): unknown {
  const packed = (content as { readonly base64?: string }).base64;
  return packed === undefined ? content : Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
}

test.run();
