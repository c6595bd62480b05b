/** Chat templates: Jinja programs in a model's folder that lay out a conversation. */
import { SluiceError } from "../errors.ts";
import type { FileSource } from "../formats/source.ts";
import type { Template } from "../jinja/template.ts";
import { show, showText } from "../show.ts";
import { type ChatTemplates, readChatTemplates } from "./chat-template-files.ts";
import { type ChatRequest, checkChatOptions, checkMessages } from "./chat-template-options.ts";
import { continueFinalMessage } from "./continue-message.ts";
import { isObject, type JsonObject } from "./json.ts";
import type { ChatMessage, ChatTemplateOptions } from "./tokenizer.ts";

export interface ChatRenderer {
  render(messages: readonly ChatMessage[], options?: ChatTemplateOptions): string;
}

type Jinja = typeof import("../jinja/template.ts");

/**
 * Reads the templates of a model. A damaged template is reported when it is used: a model without conversations does
 * not need it.
 * @param config tokenizer_config.json
 */
export async function loadChatRenderer(
  source: FileSource,
  config: JsonObject,
  signal?: AbortSignal,
): Promise<ChatRenderer> {
  const jinja = await import("../jinja/template.ts");
  try {
    return new JinjaRenderer(jinja, await readChatTemplates(source, config, signal), specialTokens(config));
  } catch (error) {
    if (!(error instanceof SluiceError) || error.code === "aborted") throw error;
    return unreadable(error);
  }
}

/** For a folder whose templates cannot be read: the error is thrown when one is used. */
function unreadable(error: SluiceError): ChatRenderer {
  return {
    render() {
      throw error;
    },
  };
}

/** The text of a special token, which the file gives as a string or as `{content}`. */
export function specialTokenText(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  return isObject(value) && typeof value.content === "string" ? value.content : undefined;
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

/** A template's text and its name in messages. */
interface Chosen {
  readonly title: string;
  readonly source: string;
}

class JinjaRenderer implements ChatRenderer {
  readonly #jinja: Jinja;
  readonly #templates: ChatTemplates;
  readonly #specials: Readonly<Record<string, string>>;
  /** Compiled templates by their text, which conversations use repeatedly. */
  readonly #parsed = new Map<string, Template>();

  constructor(jinja: Jinja, templates: ChatTemplates, specials: Readonly<Record<string, string>>) {
    this.#jinja = jinja;
    this.#templates = templates;
    this.#specials = specials;
  }

  render(messages: readonly ChatMessage[], options: ChatTemplateOptions = {}): string {
    checkMessages(messages);
    const request = checkChatOptions(options);
    const chosen = this.#choose(request);
    if (request.continueFinalMessage === null) return this.#run(chosen, messages, request);
    return continueFinalMessage(messages, request.continueFinalMessage, chosen.source, (tagged) =>
      this.#run(chosen, tagged, request),
    );
  }

  #run(chosen: Chosen, messages: readonly ChatMessage[], request: ChatRequest): string {
    try {
      return this.#parse(chosen.source).render(
        {
          ...this.#specials,
          ...request.variables,
          messages,
          tools: request.tools,
          documents: request.documents,
          add_generation_prompt: request.addGenerationPrompt,
        },
        { now: request.now },
      );
    } catch (cause) {
      if (cause instanceof this.#jinja.NotData) throw new SluiceError("usage", cause.message, { cause });
      if (cause instanceof this.#jinja.TemplateError) throw templateError(chosen.title, cause);
      throw cause;
    }
  }

  #choose({ template, tools }: ChatRequest): Chosen {
    const names = [...this.#templates.keys()];
    const byName = (name: string): Chosen => ({
      title: `The chat template "${showText(name)}"`,
      source: this.#templates.get(name) as string,
    });
    if (template !== undefined) {
      if (this.#templates.has(template)) return byName(template);
      // Text without a tag is not a template: a name is meant.
      if (template.includes("{")) return { title: "The given chat template", source: template };
      throw new SluiceError("usage", `The model has no chat template named ${show(template)}`, {
        hint: names.length > 0 ? `It has: ${names.map((name) => showText(name)).join(", ")}.` : "It has none.",
      });
    }
    const wanted = tools !== null && this.#templates.has("tool_use") ? "tool_use" : "default";
    if (this.#templates.has(wanted)) return byName(wanted);
    if (names.length === 0) {
      throw new SluiceError("usage", "The model has no chat template", {
        hint: "It is a plain text model, or its folder lacks chat_template.jinja: pass the conversation as text.",
      });
    }
    throw new SluiceError(
      "usage",
      `The model has no default chat template, only: ${names.map((name) => showText(name)).join(", ")}`,
      { hint: "Name the one to use." },
    );
  }

  #parse(source: string): Template {
    let template = this.#parsed.get(source);
    if (!template) {
      template = new this.#jinja.Template(source);
      if (this.#parsed.size >= MOST_PARSED) this.#parsed.clear();
      this.#parsed.set(source, template);
    }
    return template;
  }
}

/** Maximum number of cached templates: a model has few; callers may pass others. */
const MOST_PARSED = 16;
/** Maximum characters of a reason in a message. */
const LONGEST_REASON = 500;

function templateError(title: string, cause: InstanceType<Jinja["TemplateError"]>): SluiceError {
  const reason = showText(cause.message, LONGEST_REASON);
  const where = cause.line === undefined ? "" : `, line ${cause.line}`;
  switch (cause.kind) {
    case "refused":
      return new SluiceError("usage", `${title} refuses this conversation: ${reason}`, { cause });
    case "syntax":
      return new SluiceError("bad_file", `${title} cannot be read${where}: ${reason}`, {
        hint: "It is damaged, or uses syntax that Jinja for chat templates does not have.",
        cause,
      });
    case "limit":
      return new SluiceError("bad_file", `${title} was stopped${where}: ${reason}`, {
        hint: "No model's template needs that much: do not trust this one.",
        cause,
      });
    default:
      return new SluiceError("usage", `${title} failed${where}: ${reason}`, {
        hint: "It expects other messages or variables, or is damaged.",
        cause,
      });
  }
}
