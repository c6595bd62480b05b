/** `sluice bundle check` */
import { SluiceError } from "../../errors.ts";
import { checkBundle } from "../../interventions/check.ts";
import { argument, defineCommand } from "../command.ts";
import { flag } from "../options.ts";
import { modelArgument, modelOptions, withModel } from "./model.ts";

export const bundleCheck = defineCommand({
  name: "bundle check",
  summary: "Does a bundle fit a model, and does it do here what its maker saw?",
  description: [
    "Checks the bundle against the model, then runs the bundle's own checks on this device: the highest logits after " +
      "given tokens, with the bundle at its own strengths. Exits with 1 when one is off by more than it allows.",
  ],
  positionals: { file: argument("The bundle, one .safetensors file"), model: modelArgument },
  options: { json: flag("Print one JSON object"), ...modelOptions },
  examples: [{ line: "bundle check calm.safetensors weights/gpt2-stories", shows: "Will it work on this machine?" }],
  async run(values, context) {
    const { library, progress, signal, stdout } = context;
    const bundle = await library.loadBundle(values.file, { signal });
    const results = await withModel(values, context, (model) => {
      const edited = model.with([{ bundle }], {});
      const work = checkBundle(bundle.manifest.checks ?? [], async (tokens, promptLength) => {
        const { data } = await edited.logits(tokens, { promptLength, last: true, signal });
        return data;
      });
      return progress.during("checking", work);
    });
    const failed = results.filter(({ passed }) => !passed).length;
    if (values.json) stdout.write(`${JSON.stringify({ fits: true, checks: results })}\n`);
    else if (results.length === 0) stdout.write("It fits the model. It has no checks of its own to run.\n");
    else {
      results.forEach(({ passed, worst, atol, index }) => {
        stdout.write(
          `${passed ? "✓" : "✘"} check ${index + 1}: off by ${worst.toExponential(2)}, ${atol} is allowed\n`,
        );
      });
    }
    if (failed > 0) {
      throw new SluiceError(
        "bad_bundle",
        `${failed} of ${results.length} checks of ${values.file} failed on this device`,
        {
          hint: "The model's weights may be others than the bundle was made for, or the device computes wrongly.",
        },
      );
    }
    if (!values.json && results.length > 0) stdout.write("It fits the model, and does here what its maker saw.\n");
  },
});
