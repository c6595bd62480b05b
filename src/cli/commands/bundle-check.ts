/** `sluice bundle check` */
import { SluiceError } from "../../errors.ts";
import type { Tokenizer } from "../../index.ts";
import { type CheckResult, checkBundle } from "../../interventions/check.ts";
import { left, right, table } from "../columns.ts";
import { argument, defineCommand } from "../command.ts";
import { flag } from "../options.ts";
import { digestsOf, modelArgument, modelOptions, withModel } from "./model.ts";

export const bundleCheck = defineCommand({
  name: "bundle check",
  summary: "Check that a bundle fits a model and works on this device as it did for its maker",
  description: [
    "Checks the bundle against the model, then runs the bundle's own checks on this device: the highest logits after " +
      "given tokens, with the bundle at its own strengths. Exits with 1 when one is off by more than the check allows.",
  ],
  positionals: { file: argument("The bundle, one .safetensors file"), model: modelArgument },
  options: { json: flag("Print one JSON object"), ...modelOptions },
  examples: [{ line: "bundle check calm.safetensors weights/gpt2-stories", shows: "Will it work on this machine?" }],
  async run(values, context) {
    const { library, progress, signal, stdout } = context;
    const bundle = await library.loadBundle(values.file, { signal });
    const digests = await digestsOf(values, [{ bundle }], context);
    const { results, tokenizer } = await withModel(values, context, async (model) => {
      const edited = model.with([{ bundle }], { digests });
      const work = checkBundle(bundle.manifest.checks ?? [], async (tokens, promptLength) => {
        const { data } = await edited.logits(tokens, { promptLength, last: true, signal });
        return data;
      });
      return { results: await progress.during("checking", work), tokenizer: model.tokenizer };
    });
    const failed = results.filter(({ passed }) => !passed).length;
    if (values.json) stdout.write(`${JSON.stringify({ fits: true, passed: failed === 0, checks: results })}\n`);
    else if (results.length === 0) stdout.write("It fits the model. It has no checks of its own to run.\n");
    else for (const result of results) stdout.write(`${described(result, tokenizer)}\n`);
    if (failed > 0) {
      const which = results.length === 1 ? "The check" : `${failed} of ${results.length} checks`;
      throw new SluiceError("bad_bundle", `${which} of ${values.file} failed on this device`, {
        hint: "The model's weights may be others than the bundle was made for, or the device computes wrongly.",
      });
    }
    if (!values.json && results.length > 0) stdout.write("It fits the model, and does here what its maker saw.\n");
  },
});

/** What one check asked for, and the logits that it names beside those of this device. */
function described({ index, passed, atol, tokens, prompt_length, logits }: CheckResult, tokenizer: Tokenizer | null) {
  const length = tokens.length === 1 ? "1 token" : `${tokens.length} tokens`;
  const prompt = prompt_length === tokens.length ? "" : `, ${prompt_length} of them the prompt's`;
  const title = `${passed ? "✓" : "✘"} check ${index + 1}: logits after ${length}${prompt}, each within ${atol}`;
  const rows = logits.map(({ token, expected, actual }) => {
    const difference = actual - expected;
    const sign = difference === 0 ? "" : difference < 0 ? "−" : "+";
    const size = difference === 0 ? "0" : Math.abs(difference).toPrecision(2);
    return [
      String(token),
      ...(tokenizer ? [JSON.stringify(tokenizer.decode([token]))] : []),
      expected.toFixed(4),
      actual.toFixed(4),
      `${sign}${size}${Math.abs(difference) <= atol ? "" : "  ✘"}`,
    ];
  });
  const columns = [
    right("id"),
    ...(tokenizer ? [left("token")] : []),
    right("expected"),
    right("here"),
    left("off by"),
  ];
  return `${title}\n${table(columns, rows)}`;
}
