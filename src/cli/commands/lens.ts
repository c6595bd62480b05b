/** `sluice lens` */
import { lensDefaults } from "../../defaults.ts";
import { SluiceError } from "../../errors.ts";
import type { Lens, LensCell, LensLayer } from "../../index.ts";
import { cellsOf, left, printable, table } from "../columns.ts";
import { defineCommand } from "../command.ts";
import { defined } from "../defined.ts";
import { flag, optional, type Parser, tokenIds, wholeNumber, withDefault } from "../options.ts";
import { checkFinite, checkFiniteOption } from "./check-finite.ts";
import { reportInterventions } from "./interventions.ts";
import { modelArgument, runOptions, withEditedModel } from "./model.ts";
import { encodePrompt, givenPrompt, promptArgument, promptOptions } from "./prompt.ts";

const layerNumbers: Parser<readonly number[]> = (given, option) => {
  const layers = given.split(",").map((part) => (/^\d+$/.test(part.trim()) ? Number(part) : Number.NaN));
  if (layers.every(Number.isSafeInteger)) return layers;
  throw new SluiceError("usage", `${option}: "${given}" names no layers`, { hint: "Write 7, or 3,4,5." });
};

export const lens = defineCommand({
  name: "lens",
  summary: "Show what each layer would predict, token by token (the logit lens)",
  description: [
    "Applies the model's final norm and head to the stream after the embedding and after each block, and prints the " +
      "likeliest next token at every layer and token, in percent; * marks the token that does follow. --with shows an edited " +
      "model's stream through the plain model's head.",
  ],
  positionals: { model: modelArgument, prompt: promptArgument },
  options: {
    ...promptOptions,
    layers: optional("LAYERS", "Only the stream after these blocks, such as 0,5,11", layerNumbers),
    top: withDefault(
      "N",
      "How many of the likeliest tokens --json reports in each cell",
      wholeNumber(0),
      lensDefaults.top,
    ),
    ask: optional("IDS", "Tokens whose probability and rank to show at every layer too, such as 383,261", tokenIds),
    json: flag("Print one JSON object: likeliest tokens, rank of the next one, KL to the model's prediction, entropy"),
    checkFinite: checkFiniteOption,
    ...runOptions,
  },
  examples: [
    { line: 'lens weights/stories260K "Once upon a time"', shows: "From which layer on does the model know?" },
    {
      line: "lens weights/stories260K --tokens 1,403,407,261,378 --ask 432,383 --json",
      shows: "Probabilities and ranks of two tokens, for programs:",
    },
  ],
  async run(values, context) {
    const { progress, signal, stdout } = context;
    const prompt = givenPrompt(values);
    const { result, interventions, device } = await withEditedModel(values, context, async (model, _, bundles) => {
      const { layers, top, ask: asked, promptLength } = values;
      const options = {
        top: values.json ? top : Math.max(1, top),
        ...defined({ layers, asked, promptLength }),
        signal,
      };
      const tokens = encodePrompt(model, prompt);
      await checkFinite(values.checkFinite, model, [tokens], promptLength, context);
      const result = await progress.during("looking", model.lens(tokens, options));
      return { result, interventions: reportInterventions(bundles, model.stages), device: model.device.name };
    });
    const run = context.record(device);
    stdout.write(
      values.json ? `${JSON.stringify({ ...result, interventions, run })}\n` : report(result, stdout.columns),
    );
  },
});

/** Cells of one column of the table, and of the layer's name before them. */
const LEAST_WIDTH = 12;

function report(result: Lens, columns: number): string {
  const parts = [`Likeliest next token, in percent (* does follow)\n\n${grid(result, columns, likeliestOf(result))}`];
  for (const [i, token] of result.asked.entries()) {
    const cellOf = ({ asked }: LensCell): string => {
      const { probability, rank } = asked[i] as LensCell["asked"][number];
      return `${percent(probability)} #${rank}`;
    };
    parts.push(`Token ${token}: percent, and rank in the vocabulary\n\n${grid(result, columns, cellOf)}`);
  }
  const means = result.layers.map(({ site, cells }) => [
    site,
    mean(cells, ({ kl_nats }) => kl_nats).toFixed(3),
    mean(cells, ({ entropy_nats }) => entropy_nats).toFixed(3),
  ]);
  const titles = [left("layer"), left("KL to the model"), left("entropy")];
  return [...parts, `On average over the tokens, in nats\n\n${table(titles, means)}`].join("\n");
}

/** A row per layer and a column per token, in as many blocks as the screen needs. */
function grid(
  { tokens, texts, layers }: Lens,
  columns: number,
  cellOf: (cell: LensCell, at: number) => string,
): string {
  const titles = tokens.map((token, i) => (texts ? quoted(texts[i] as string) : String(token)));
  const rows = layers.map(({ cells }) => cells.map(cellOf));
  const widths = titles.map((title, i) => Math.max(...[title, ...rows.map((row) => row[i] as string)].map(cellsOf)));
  const first = Math.max(LEAST_WIDTH, ...layers.map(({ site }) => cellsOf(site)));
  const blocks: string[] = [];
  for (let from = 0; from < tokens.length; ) {
    let [to, width] = [from, first + 2];
    while (to < tokens.length && (to === from || width + 2 + (widths[to] as number) <= columns)) {
      width += 2 + (widths[to] as number);
      to++;
    }
    const named = (layer: LensLayer, row: number) => [layer.site, ...(rows[row] as string[]).slice(from, to)];
    blocks.push(table([left("after"), ...titles.slice(from, to).map(left)], layers.map(named)));
    from = to;
  }
  return blocks.join("\n");
}

function likeliestOf({ tokens }: Lens): (cell: LensCell, at: number) => string {
  return ({ top: [best] }, at) => {
    if (!best) return "";
    const mark = best.token === tokens[at + 1] ? "*" : "";
    return `${best.text === null ? best.token : quoted(best.text)} ${percent(best.probability)}${mark}`;
  };
}

/** A token's text on one line, its spaces visible. */
function quoted(text: string): string {
  return printable(text).replaceAll("\n", "⏎").replaceAll(" ", "␣");
}

function percent(share: number): string {
  const value = 100 * share;
  return value >= 9.95 ? value.toFixed(0) : value.toFixed(1);
}

function mean(cells: readonly LensCell[], of: (cell: LensCell) => number): number {
  return cells.reduce((sum, cell) => sum + of(cell), 0) / cells.length;
}
