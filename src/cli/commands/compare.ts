/** `sluice compare` */

import { SluiceError } from "../../errors.ts";
import type { Comparison, Continuation } from "../../index.ts";
import { defineCommand } from "../command.ts";
import { defined } from "../defined.ts";
import { decimal, flag, optional, wholeNumber, withDefault } from "../options.ts";
import { modelArgument, runOptions, withEditedModel } from "./model.ts";
import { givenPrompt, promptArgument, promptOptions } from "./prompt.ts";

export const compare = defineCommand({
  name: "compare",
  summary: "Continue a prompt with and without interventions, side by side",
  description: [
    "Runs the plain and the edited model as two sequences of one batch and prints both continuations, how far their " +
      "predictions lie apart (KL divergence in nats, plain from edited), and the tokens whose probability moved most.",
  ],
  positionals: { model: modelArgument, prompt: promptArgument },
  options: {
    ...promptOptions,
    maxNewTokens: withDefault("N", "New tokens of either", wholeNumber(1), 40),
    temperature: withDefault(
      "T",
      "0: the likeliest token; above: drawn, with the same seed for both",
      decimal({ min: 0 }),
      0,
    ),
    seed: optional("S", "Draw the same again", wholeNumber(0)),
    json: flag("Print one JSON object"),
    ...runOptions,
  },
  examples: [
    {
      line: 'compare weights/gpt2-stories "One day" --with calm.safetensors --strength calm=0.5',
      shows: "What does half of an edit change?",
    },
  ],
  async run(values, context) {
    const { progress, signal, stdout } = context;
    if (values.with.length === 0) {
      throw new SluiceError("usage", "--with BUNDLE is missing", { hint: "Name the interventions to compare with." });
    }
    const prompt = givenPrompt(values);
    const result = await withEditedModel(values, context, (model) => {
      const { maxNewTokens, temperature, seed, promptLength } = values;
      const options = { maxNewTokens, temperature, ...defined({ seed, promptLength }), signal };
      return progress.during("comparing", context.library.compare(model, prompt, options));
    });
    stdout.write(values.json ? `${JSON.stringify(result)}\n` : report(result, context.stdout.columns));
  },
});

function report(result: Comparison, columns: number): string {
  const width = Math.max(20, Math.floor((Math.min(columns, 140) - 3) / 2));
  const sides = [result.plain, result.edited].map((side) => wrap(said(side), width));
  const [left = [], right = []] = sides;
  const lines = [`${"plain".padEnd(width)} │ edited`, `${"─".repeat(width)}─┼─${"─".repeat(width)}`];
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    lines.push(`${(left[i] ?? "").padEnd(width)} │ ${right[i] ?? ""}`.trimEnd());
  }
  lines.push(
    "",
    `KL(plain ‖ edited): ${result.kl_last.toFixed(4)} nats after the prompt, ${result.kl_mean.toFixed(4)} on average over it`,
    "",
    "next token          plain    edited    change",
  );
  for (const { token, text, plain, edited } of result.moved) {
    const name = (text === null ? String(token) : JSON.stringify(text)).padEnd(16);
    const change = edited - plain;
    lines.push(
      `${name} ${percent(plain)}  ${percent(edited)}  ${change < 0 ? "−" : "+"}${percent(Math.abs(change)).trim()}`,
    );
  }
  return `${lines.join("\n")}\n`;
}

function said({ text, tokens }: Continuation): string {
  return text ?? tokens.join(" ");
}

function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`.padStart(8);
}

/** Lines of at most `width` characters, broken at spaces where there are any. */
function wrap(text: string, width: number): readonly string[] {
  return text.split(/\r?\n/).flatMap((paragraph) => {
    const lines: string[] = [];
    let rest = Array.from(paragraph);
    while (rest.length > width) {
      const space = rest.lastIndexOf(" ", width);
      const cut = space > 0 ? space : width;
      lines.push(rest.slice(0, cut).join(""));
      rest = rest.slice(space > 0 ? cut + 1 : cut);
    }
    return [...lines, rest.join("")];
  });
}
