/** What turns text into ids and conversations into text. */
import { readConfig } from "../../../src/architectures/read-config.ts";
import { openSource } from "../../../src/formats/open-source.ts";
import { loadTokenizer } from "../../../src/tokenizer/load.ts";
import type { Tokenizer } from "../../../src/tokenizer/tokenizer.ts";
import { picked } from "../picked-files.ts";
import { Broken, type Files, fileOf, folderOf, type Random, type Target, withFiles } from "../target.ts";

const sentences = [
  "Once upon a time, there was a little girl named Lily.",
  "  naïve café — 12,345.67 \t\n\n\"it's\" don't 🙂🙂 漢字 \u0000\ufeff",
];
/** Takes longer than all else: one case in eight encodes it. */
const long = `${"a".repeat(300)} ${"ab ".repeat(200)}${"1".repeat(200)}`;

const messages = [
  { role: "user", content: "What is 2 + 2?" },
  { role: "assistant", content: "4" },
  { role: "user", content: "Really?" },
];

const config = readConfig(
  {
    model_type: "llama",
    num_hidden_layers: 1,
    hidden_size: 8,
    num_attention_heads: 2,
    intermediate_size: 8,
    vocab_size: 512,
  },
  "config.json",
);

async function open(files: Files): Promise<Tokenizer> {
  const source = await openSource(picked(files));
  try {
    const tokenizer = await loadTokenizer(source, config);
    if (!tokenizer) throw new Broken("the folder has a tokenizer, and none was found");
    return tokenizer;
  } finally {
    await source.close();
  }
}

/** Text there and back; what comes of it depends on the file, so only that it is text and ids. */
function use(tokenizer: Tokenizer, random: Random): void {
  for (const sentence of random() < 1 / 8 ? [...sentences, long] : sentences) {
    const ids = tokenizer.encode(sentence);
    const wrong = ids.find((id) => !Number.isSafeInteger(id) || id < 0 || id >= tokenizer.vocabSize);
    if (wrong !== undefined) throw new Broken(`an id is ${wrong}, in a vocabulary of ${tokenizer.vocabSize}`);
    const stream = tokenizer.stream();
    const text = ids.map((id) => stream.push(id)).join("") + stream.end();
    if (typeof tokenizer.decode(ids) !== "string" || typeof text !== "string") throw new Broken("no text comes back");
  }
}

/** The folders that transformers read for test/tokenizer: every form of vocabulary that there is. */
function preparedFolders(has: string): readonly Files[] {
  const [prepared] = fileOf("test/data/tokenizers/folders.json").values();
  const { folders } = jsonOf(prepared) as {
    readonly folders: readonly { readonly files: Readonly<Record<string, unknown>> }[];
  };
  const bytesOf = (content: unknown): Uint8Array<ArrayBuffer> => {
    const { base64 } = content as { readonly base64?: string };
    if (base64 !== undefined) return Uint8Array.from(Buffer.from(base64, "base64"));
    return new TextEncoder().encode(typeof content === "string" ? content : JSON.stringify(content));
  };
  return folders
    .filter(({ files }) => has in files)
    .map(({ files }) => new Map(Object.entries(files).map(([name, content]) => [name, bytesOf(content)])));
}

const storiesFiles = folderOf("weights/stories260K", (name) => name.startsWith("tokenizer"));

export const tokenizer: Target = {
  name: "tokenizer",
  seeds: () => [storiesFiles, ...preparedFolders("tokenizer.json")],
  edits: (path) => path.endsWith(".json"),
  read: async (files, random) => use(await open(files), random),
};

export const vocabMerges: Target = {
  name: "vocab_merges",
  seeds: () => preparedFolders("vocab.json"),
  read: async (files, random) => use(await open(files), random),
};

export const sentencePiece: Target = {
  name: "sentencepiece",
  seeds: () => preparedFolders("tokenizer.model"),
  edits: (path) => path === "tokenizer.model",
  hasJson: false,
  read: async (files, random) => use(await open(files), random),
};

const templateNames = ["deepseek-r1-distill-qwen", "mistral-nemo", "phi-3.5", "qwen2.5", "qwq", "zephyr"];

const jsonOf = (bytes: Uint8Array | undefined): unknown => JSON.parse(new TextDecoder().decode(bytes));

/** A tokenizer with a published template. */
export function withTemplate(files: Files, name: string): Files {
  const [published] = fileOf(`test/data/jinja/${name}.json`).values();
  const { template } = jsonOf(published) as { readonly template: string };
  const own = jsonOf(files.get("tokenizer_config.json")) as object;
  return withFiles(files, { "tokenizer_config.json": JSON.stringify({ ...own, chat_template: template }) });
}

/** The stories' tokenizer with its special tokens alone: templates ask for no other. */
function specialTokensAlone(): Files {
  const whole = jsonOf(storiesFiles.get("tokenizer.json")) as { readonly model: { readonly vocab: object } };
  const vocab = Object.fromEntries(Object.entries(whole.model.vocab).slice(0, 3));
  const model = { ...whole.model, vocab, merges: [], byte_fallback: false };
  return withFiles(storiesFiles, { "tokenizer.json": JSON.stringify({ ...whole, model }) });
}
const special = specialTokensAlone();

async function render(files: Files): Promise<void> {
  const text = (await open(files)).applyChatTemplate(messages, { addGenerationPrompt: true });
  if (typeof text !== "string") throw new Broken("a template renders no text");
}

export const tokenizerConfig: Target = {
  name: "tokenizer_config",
  seeds: () => templateNames.map((name) => withTemplate(special, name)),
  edits: (path) => path === "tokenizer_config.json",
  read: render,
};

/** The text of the template alone, which edits of JSON replace as a whole. */
export const chatTemplate: Target = {
  name: "chat_template",
  seeds: () =>
    templateNames.map((name) => {
      const files = withTemplate(special, name);
      const config = jsonOf(files.get("tokenizer_config.json")) as { readonly chat_template: string };
      const { chat_template: template, ...rest } = config;
      return withFiles(files, { "tokenizer_config.json": JSON.stringify(rest), "chat_template.jinja": template });
    }),
  edits: (path) => path === "chat_template.jinja",
  hasJson: false,
  read: render,
};
