/** `sluice compare` */
import { compareDefaults } from "../../defaults.ts";
import { SluiceError } from "../../errors.ts";
import type { Comparison, Continuation, MovedToken } from "../../index.ts";
import { left, right, sideBySide, table } from "../columns.ts";
import { defineCommand } from "../command.ts";
import { defined } from "../defined.ts";
import { decimal, flag, optional, wholeNumber, withDefault } from "../options.ts";
import { checkFinite, checkFiniteOption } from "./check-finite.ts";
import { reportInterventions } from "./interventions.ts";
import { modelArgument, runOptions, tuneOptions, withEditedModel } from "./model.ts";
import { encodePrompt, givenPrompt, promptArgument, promptOptions } from "./prompt.ts";

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
    maxNewTokens: withDefault("N", "New tokens on either side", wholeNumber(1), 40),
    temperature: withDefault(
      "T",
      "0 takes the likeliest token; above 0 both are drawn, with the same seed",
      decimal({ min: 0 }),
      0,
    ),
    seed: optional(
      "S",
      "Seed of the draws: equal seeds draw equal tokens. Without it every run differs",
      wholeNumber(0),
    ),
    top: withDefault("N", "How many of the tokens that moved most to show", wholeNumber(1), compareDefaults.most),
    json: flag("Print one JSON object, with the divergence at every token of the prompt"),
    checkFinite: checkFiniteOption,
    ...runOptions,
    ...tuneOptions,
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
    const { result, interventions, device } = await withEditedModel(values, context, async (model, _, bundles) => {
      const { maxNewTokens, temperature, seed, promptLength, top: most } = values;
      const options = { maxNewTokens, temperature, most, ...defined({ seed, promptLength }), signal };
      await checkFinite(values.checkFinite, model, [encodePrompt(model, prompt)], promptLength, context);
      const result = await progress.during("comparing", model.compare(prompt, options));
      return { result, interventions: reportInterventions(bundles, model.stages), device: model.device.name };
    });
    const run = context.record(device);
    stdout.write(
      values.json ? `${JSON.stringify({ ...result, interventions, run })}\n` : report(result, stdout.columns),
    );
  },
});

/** Beyond this a line is tiring to read. */
const MOST_COLUMNS = 140;

function report(result: Comparison, columns: number): string {
  const [plain, edited] = [result.plain, result.edited].map(said);
  const { common_tokens, kl_nats, prompt_tokens, moved } = result;
  const count = prompt_tokens.length;
  return [
    sideBySide(
      { title: "plain", text: plain ?? "" },
      { title: "edited", text: edited ?? "" },
      Math.min(columns, MOST_COLUMNS),
    ),
    partsAt(result.plain, result.edited, common_tokens),
    "KL(plain ‖ edited) of the next token's distribution, in nats\n" +
      `  ${significant(kl_nats.last)} after the prompt's last token\n` +
      `  ${significant(kl_nats.mean)} on average over its ${count} ${count === 1 ? "token" : "tokens"}\n`,
    moved.length === 0
      ? "No probability of the next token after the prompt moved.\n"
      : `Next tokens whose probability moved most\n${movedTable(moved)}`,
  ].join("\n");
}

function partsAt(plain: Continuation, edited: Continuation, common: number): string {
  if (plain.tokens.length === common && edited.tokens.length === common) return "Both are the same.\n";
  if (common === 0) return "They differ from the first new token on.\n";
  return `They are the same for ${common} new ${common === 1 ? "token" : "tokens"}.\n`;
}

function movedTable(moved: readonly MovedToken[]): string {
  const hasText = moved.some(({ text }) => text !== null);
  const rows = moved.map(({ token, text, plain, edited }) => [
    String(token),
    ...(hasText ? [JSON.stringify(text)] : []),
    percent(plain),
    percent(edited),
    `${edited < plain ? "−" : "+"}${percent(Math.abs(edited - plain))}`,
  ]);
  const words = hasText ? [left("token")] : [];
  return table([right("id"), ...words, right("plain"), right("edited"), right("change")], rows);
}

function said({ text, tokens }: Continuation): string {
  return text ?? tokens.join(" ");
}

function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`;
}

/** A number of nats: small ones keep their digits. */
function significant(nats: number): string {
  return nats === 0 || nats >= 0.001 ? nats.toFixed(4) : nats.toExponential(2);
}
