/** `sluice info` */
import { defineCommand } from "../command.ts";
import { defined } from "../defined.ts";
import { flag, name, optional } from "../options.ts";

export const info = defineCommand({
  name: "info",
  summary: "Show the adapters found, which one is used, and why",
  description: ["Lists the GPUs and software devices that WebGPU offers here, and what the chosen one can do."],
  positionals: {},
  options: {
    adapter: optional("NAME", "Look at this adapter, by part of its name, in place of the automatic choice", name),
    json: flag("Print one object"),
  },
  examples: [{ line: "info", shows: "What will models run on?" }],
  async run({ adapter, json }, { library, progress, stdout }) {
    const { data, text } = await progress.during("asking for adapters", library.info(defined({ adapter })));
    stdout.write(json ? `${JSON.stringify(data)}\n` : `${text.trimEnd()}\n`);
  },
});
