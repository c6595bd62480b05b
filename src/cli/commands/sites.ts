/** `sluice sites` */
import type { SiteInfo } from "../../index.ts";
import { left, right, table } from "../columns.ts";
import { defineCommand } from "../command.ts";
import { flag } from "../options.ts";
import { modelArgument } from "./model.ts";

export const sites = defineCommand({
  name: "sites",
  summary: "List the places inside a model that can be captured and edited",
  description: [
    "Lists the sites of a model by name, with the width of their values, the stages that can act there and the name that " +
      "TransformerLens has for the same values. LAYER stands for a layer's number, from 0 up. `capture` takes either name. " +
      "Only config.json is read.",
  ],
  positionals: { model: modelArgument },
  options: { json: flag("Print one JSON object") },
  examples: [{ line: "sites weights/stories260K", shows: "What `capture` and bundles can name in the small Llama:" }],
  async run({ model, json }, { stdout, signal }) {
    const [{ listSites }, { readModelConfig }] = await Promise.all([
      import("../../interventions/site-names.ts"),
      import("../../model/read-model-config.ts"),
    ]);
    const config = await readModelConfig(model, { signal });
    const list = listSites(config);
    const { architecture, num_hidden_layers: layers } = config;
    if (json) stdout.write(`${JSON.stringify({ architecture, layers, sites: list })}\n`);
    else stdout.write(`${architecture} with ${layers} ${layers === 1 ? "layer" : "layers"}\n${siteTable(list)}`);
  },
});

function siteTable(list: readonly SiteInfo[]): string {
  const columns = [left("site"), right("width"), left("stages"), left("TransformerLens"), left("what it is")];
  const rows = list.map(({ name, width, stages, transformer_lens, about }) => [
    name,
    width === null ? "–" : String(width),
    stages.length > 0 ? stages.join(", ") : "capture only",
    transformer_lens ?? "–",
    about,
  ]);
  return table(columns, rows);
}
