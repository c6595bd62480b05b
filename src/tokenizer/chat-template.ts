/** Chat templates: Jinja programs in tokenizer_config.json or chat_template.jinja that lay out a conversation. */
import type { Template } from "@huggingface/jinja";
import { SluiceError } from "../errors.ts";
import { type FileSource, readText } from "../formats/source.ts";
import { isObject, type JsonObject } from "./json.ts";
import type { ChatMessage, ChatTemplateOptions } from "./tokenizer.ts";

export interface ChatRenderer {
  render(messages: readonly ChatMessage[], options: ChatTemplateOptions): string;
}

/**
 * Reads the templates of a model. chat_template.jinja goes before tokenizer_config.json, as in transformers.
 * A damaged template is reported when it is used: a model that is not chatted with does not need it.
 * @param config tokenizer_config.json
 */
export async function loadChatRenderer(
  source: FileSource,
  config: JsonObject,
  signal?: AbortSignal,
): Promise<ChatRenderer> {
  const templates = namedTemplates(config.chat_template);
  const file = "chat_template.jinja";
  if (await source.exists(file, signal)) templates.set("default", await readText(source, file, signal));
  if (templates.size === 0) return { render: refuse };
  const { Template } = await import("@huggingface/jinja");
  return new JinjaRenderer(Template, templates, specialTokens(config));
}

/** The text of a special token, which the file gives as a string or as `{content}`. */
export function specialTokenText(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  return isObject(value) && typeof value.content === "string" ? value.content : undefined;
}

class JinjaRenderer implements ChatRenderer {
  readonly #Template: typeof Template;
  readonly #templates: ReadonlyMap<string, string>;
  readonly #specials: Readonly<Record<string, string>>;
  readonly #parsed = new Map<string, Template>();

  constructor(
    TemplateClass: typeof Template,
    templates: ReadonlyMap<string, string>,
    specials: Readonly<Record<string, string>>,
  ) {
    this.#Template = TemplateClass;
    this.#templates = templates;
    this.#specials = specials;
  }

  render(messages: readonly ChatMessage[], options: ChatTemplateOptions): string {
    const name = this.#choose(options.tools !== undefined);
    try {
      return this.#parse(name).render({
        ...this.#specials,
        messages,
        add_generation_prompt: options.addGenerationPrompt,
        ...(options.tools ? { tools: options.tools } : {}),
      });
    } catch (cause) {
      // Templates refuse conversations on purpose (`raise_exception`): the reason is for the caller.
      throw new SluiceError("usage", `The chat template "${name}" failed: ${(cause as Error).message}`, {
        hint: "Check the roles and their order: many templates want user and assistant in turn.",
        cause,
      });
    }
  }

  #choose(withTools: boolean): string {
    const wanted = withTools && this.#templates.has("tool_use") ? "tool_use" : "default";
    if (this.#templates.has(wanted)) return wanted;
    throw new SluiceError(
      "usage",
      `The model has no default chat template, only: ${[...this.#templates.keys()].join(", ")}`,
      { hint: "Lay the conversation out yourself and pass it as text." },
    );
  }

  #parse(name: string): Template {
    let template = this.#parsed.get(name);
    if (!template) {
      template = new this.#Template(this.#templates.get(name) as string);
      this.#parsed.set(name, template);
    }
    return template;
  }
}

/** `chat_template` is one template, or a list of `{name, template}`. */
function namedTemplates(value: unknown): Map<string, string> {
  const templates = new Map<string, string>();
  if (typeof value === "string") templates.set("default", value);
  if (!Array.isArray(value)) return templates;
  for (const entry of value) {
    if (isObject(entry) && typeof entry.name === "string" && typeof entry.template === "string") {
      templates.set(entry.name, entry.template);
    }
  }
  return templates;
}

/** The variables `bos_token`, `eos_token`, … that templates refer to. */
function specialTokens(config: JsonObject): Record<string, string> {
  const tokens: Record<string, string> = {};
  for (const [key, value] of Object.entries(config)) {
    const text = key.endsWith("_token") ? specialTokenText(value) : undefined;
    if (text !== undefined) tokens[key] = text;
  }
  return tokens;
}

function refuse(): never {
  throw new SluiceError("usage", "The model has no chat template", {
    hint: "It is a plain text model, or its folder lacks chat_template.jinja: pass the conversation as text.",
  });
}
