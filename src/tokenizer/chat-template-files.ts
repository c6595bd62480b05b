/** Finds chat templates, with the precedence of transformers. */
import { type FileSource, readText } from "../formats/source.ts";
import { isObject, type JsonObject, readJsonObject } from "./json.ts";

/** Templates by name; the usual one is `default`. */
export type ChatTemplates = ReadonlyMap<string, string>;

const FILE = "chat_template.jinja";
const FOLDER = "additional_chat_templates/";
const SUFFIX = ".jinja";
/** Names requested if a folder cannot be listed: those in use. */
const KNOWN = ["tool_use", "rag"];

/**
 * chat_template.jinja and the files in additional_chat_templates/; if there are none, `chat_template` of
 * tokenizer_config.json; otherwise that of chat_template.json, which image processors have.
 * @param config tokenizer_config.json
 */
export async function readChatTemplates(
  source: FileSource,
  config: JsonObject,
  signal?: AbortSignal,
): Promise<ChatTemplates> {
  const templates = new Map<string, string>();
  if (await source.exists(FILE, signal)) templates.set("default", await readText(source, FILE, signal));
  for (const name of await additional(source, templates.size > 0, signal)) {
    templates.set(name, await readText(source, `${FOLDER}${name}${SUFFIX}`, signal));
  }
  if (templates.size > 0) return templates;
  const named = namedTemplates(config.chat_template);
  if (named.size > 0) return named;
  const legacy = await readJsonObject(source, "chat_template.json", signal);
  return namedTemplates(legacy?.chat_template);
}

/** @param likely whether the model has template files at all; only then is a server asked for more */
async function additional(source: FileSource, likely: boolean, signal?: AbortSignal): Promise<string[]> {
  const files = await source.list(FOLDER.slice(0, -1));
  if (files) {
    const names = files.filter((file) => file.endsWith(SUFFIX) && !file.includes("/"));
    return names.map((file) => file.slice(0, -SUFFIX.length)).sort();
  }
  if (!likely) return [];
  const found = await Promise.all(KNOWN.map((name) => source.exists(`${FOLDER}${name}${SUFFIX}`, signal)));
  return KNOWN.filter((_, i) => found[i]);
}

/** `chat_template` is one template, a list of `{name, template}`, or an object of templates by name. */
function namedTemplates(value: unknown): Map<string, string> {
  const templates = new Map<string, string>();
  if (typeof value === "string") templates.set("default", value);
  else if (Array.isArray(value)) {
    for (const entry of value as readonly unknown[]) {
      if (isObject(entry) && typeof entry.name === "string" && typeof entry.template === "string") {
        templates.set(entry.name, entry.template);
      }
    }
  } else if (isObject(value)) {
    for (const [name, template] of Object.entries(value)) {
      if (typeof template === "string") templates.set(name, template);
    }
  }
  return templates;
}
