/** Templates of many kinds against what transformers rendered with jinja2: test/data/jinja, made by scripts/jinja. */
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Template, TemplateError } from "../../src/jinja/template.ts";

type Variables = Readonly<Record<string, unknown>>;
interface Case {
  readonly template: string;
  /** Null where jinja2 refuses. */
  readonly text: string | null;
}
interface Cases {
  readonly chats: Readonly<Record<string, Variables>>;
  readonly variables: Variables;
  readonly models: readonly { readonly template: string; readonly texts: Readonly<Record<string, string | null>> }[];
  readonly small: readonly Case[];
  readonly random: readonly (Case & { readonly variables: Variables })[];
}
interface Sample {
  readonly template: string;
  readonly cases: readonly {
    readonly conversation: string;
    readonly add_generation_prompt: boolean;
    readonly text?: string;
    readonly refused?: boolean;
  }[];
}

const read = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../data/jinja/${name}`, import.meta.url), "utf8"));
const cases = read("cases.json") as Cases;
const now = (): Date => new Date(2024, 6, 26, 9, 5, 3, 45);

const SAMPLES = [
  "alpaca",
  "deepseek-r1-distill-llama",
  "deepseek-r1-distill-qwen",
  "functionary-3.1",
  "mistral-instruct",
  "mistral-nemo",
  "phi-3.5",
  "qwen2.5",
  "qwq",
  "zephyr",
];

const templates = new Map<string, Template>();

/** The text, or null for a refusal. Nothing else may be thrown. */
function render(template: string, variables: Variables): string | null {
  try {
    const parsed = templates.get(template) ?? new Template(template);
    templates.set(template, parsed);
    return parsed.render(variables, { now });
  } catch (error) {
    if (error instanceof TemplateError && error.kind !== "limit") return null;
    throw error;
  }
}

test("constructs of well-known models' templates", () => {
  for (const { template, texts } of cases.models) {
    for (const [chat, text] of Object.entries(texts)) {
      assert.is(render(template, cases.chats[chat] as Variables), text, `${template.slice(0, 60)} with ${chat}`);
    }
  }
});

test("scopes, loops, whitespace, values, filters, tests, methods, the sandbox, and errors", () => {
  for (const { template, text } of cases.small) assert.is(render(template, cases.variables), text, template);
});

test("random templates", () => {
  for (const { template, variables, text } of cases.random) assert.is(render(template, variables), text, template);
});

test("templates of models", () => {
  const conversations = read("conversations.json") as Readonly<Record<string, { messages: unknown; tools?: unknown }>>;
  const specials = { bos_token: "<s>", eos_token: "</s>", unk_token: "<unk>", pad_token: "<pad>" };
  for (const name of SAMPLES) {
    const sample = read(`${name}.json`) as Sample;
    for (const { conversation, add_generation_prompt, text } of sample.cases) {
      const { messages, tools = null } = conversations[conversation] as (typeof conversations)[string];
      const variables = { ...specials, messages, tools, documents: null, add_generation_prompt };
      assert.is(render(sample.template, variables), text ?? null, `${name}: ${conversation}`);
    }
  }
});

test.run();
