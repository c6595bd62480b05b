/** `sluice capture` */
import { SluiceError } from "../../errors.ts";
import { storeFloat32, writeSafetensors } from "../../formats/safetensors.ts";
import { defineCommand } from "../command.ts";
import { defined } from "../defined.ts";
import { flag, name, output, repeated, required } from "../options.ts";
import { prepareOutFile } from "../out-file.ts";
import { wroteJson, wroteText } from "../wrote.ts";
import { checkFinite, checkFiniteOption } from "./check-finite.ts";
import { modelArgument, runOptions, withEditedModel } from "./model.ts";
import { encodePrompt, givenPrompt, promptArgument, promptOptions } from "./prompt.ts";

export const capture = defineCommand({
  name: "capture",
  summary: "Write values from inside the model to a safetensors file",
  description: [
    "Runs the model once over the tokens and writes a tensor per site, float32 [tokens, width]; attn_pattern.LAYER is " +
      "[heads, tokens, tokens]. `sluice sites MODEL` lists the sites; TransformerLens' names work too.",
  ],
  positionals: { model: modelArgument, prompt: promptArgument },
  options: {
    ...promptOptions,
    site: repeated(
      "SITE",
      "What to capture, such as resid_post.1, mlp_pre.0 or blocks.0.hook_mlp_out (required)",
      name,
    ),
    out: output(required("FILE", "The safetensors file to write", name)),
    json: flag("Print one JSON object: the file, and its tensors with dtypes and shapes"),
    checkFinite: checkFiniteOption,
    ...runOptions,
  },
  examples: [
    {
      line: "capture weights/stories260K --tokens 1,403,407 --site resid_post.1 --site mlp_post.0 --out sites.safetensors",
      shows: "The residual stream after block 1 and the neurons of block 0:",
    },
  ],
  async run(values, context) {
    const sites = [...new Set(values.site)];
    if (sites.length === 0) {
      throw new SluiceError("usage", "--site SITE is missing", {
        hint: "For example --site resid_post.1; it may be repeated. `sluice sites MODEL` lists the sites.",
      });
    }
    const prompt = givenPrompt(values);
    const file = await prepareOutFile(values.out);
    await withEditedModel(values, context, async (model) => {
      const options = { signal: context.signal, ...defined({ promptLength: values.promptLength }) };
      const tokens = encodePrompt(model, prompt);
      await checkFinite(values.checkFinite, model, [tokens], values.promptLength, context);
      const work = model.capture(tokens, sites, options);
      const captured = await context.progress.during("running the model", work);
      for (const [site, { data }] of captured) {
        const odd = data.reduce((count, value) => (Number.isFinite(value) ? count : count + 1), 0);
        if (odd > 0) {
          context.note(
            `${site}: ${odd} of ${data.length} numbers are not finite; --check-finite says where they begin`,
          );
        }
      }
      const tensors = new Map([...captured].map(([site, { data, shape }]) => [site, storeFloat32(data, shape)]));
      await file.write(writeSafetensors(tensors));
      context.stdout.write(
        values.json ? `${JSON.stringify(wroteJson(values.out, tensors))}\n` : wroteText(values.out, tensors),
      );
    });
  },
});
