/** The browser's counterpart of node-hub.ts: files come straight from huggingface.co, and are not kept. */
import type { FileSource } from "../formats/source.ts";
import { openUrlBase } from "../formats/url-base.ts";
import type { OpenModelOptions } from "./open-options.ts";
import type { HubReference } from "./reference.ts";

/** Opens a model on huggingface.co by its name. */
export async function openReference(
  _name: string,
  { repo, revision }: HubReference,
  _options: OpenModelOptions,
): Promise<FileSource> {
  return openUrlBase(`https://huggingface.co/${repo}/resolve/${encodeURIComponent(revision)}`);
}
