/** `sluice info` */
import { defineCommand } from "../command.ts";
import { defined } from "../defined.ts";
import { flag } from "../options.ts";
import { adapterOption } from "./model.ts";

export const info = defineCommand({
  name: "info",
  summary: "List the adapters of this machine and explain which one is used",
  description: ["Lists real GPUs and software drivers, says which one would run a model and why, and what it can do."],
  positionals: {},
  options: { json: flag("Print one JSON object"), adapter: adapterOption },
  examples: [{ line: "info", shows: "What would run a model here:" }],
  async run({ json, adapter }, { library, progress, stdout }) {
    const { data, text } = await progress.during("asking for adapters", library.info(defined({ adapter })));
    stdout.write(json ? `${JSON.stringify(data)}\n` : text);
  },
});
