/** `sluice pull` */
import { SluiceError } from "../../errors.ts";
import type { HubReference } from "../../hub/reference.ts";
import { showText } from "../../show.ts";
import { argument, defineCommand } from "../command.ts";
import { fetchReference } from "../fetch-model.ts";
import { flag } from "../options.ts";
import { formatSize } from "../pace.ts";

export const pull = defineCommand({
  name: "pull",
  summary: "Fetch a model from the hub into the cache",
  description: [
    "Fetches what the model needs and nothing else: its configuration, its tokenizer, and one set of weights (safetensors " +
      "if there are any, else GGUF). What was fetched before is kept and continued, also after Ctrl-C, and every file is " +
      "verified. Prints the folder, or the GGUF file, that any command takes as MODEL.",
    "The cache is Hugging Face's own, so that Python's tools use what is fetched here, and the other way round. HF_HOME, " +
      "HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE count as they do there.",
  ],
  positionals: {
    id: argument("a model of the hub: org/name, org/name@revision, org/name/file.gguf or org/name:Q4_K_M"),
  },
  options: { json: flag("Print one JSON object with id, commit, path, files and fetched_bytes") },
  examples: [{ line: "pull openai-community/gpt2", shows: "GPT-2, for this and every later command:" }],
  async run({ id, json }, context) {
    const { path, commit, files, fetchedBytes } = await fetchReference(await referenceOf(id), context);
    if (json) {
      context.stdout.write(`${JSON.stringify({ id, commit, path, files, fetched_bytes: fetchedBytes })}\n`);
      return;
    }
    context.note(fetchedBytes > 0 ? `${formatSize(fetchedBytes)} fetched` : "everything was in the cache");
    context.stdout.write(`${path}\n`);
  },
});

async function referenceOf(id: string): Promise<HubReference> {
  const { parseReference } = await import("../../hub/reference.ts");
  const reference = parseReference(id);
  if (reference) return reference;
  throw new SluiceError("usage", `${showText(id)} is not the name of a model on the hub`, {
    hint: "Such a name is org/name, org/name@revision, org/name/file.gguf or org/name:Q4_K_M.",
  });
}
