/** `sluice logits` */
import { storeFloat32, writeSafetensors } from "../../formats/safetensors.ts";
import { defineCommand } from "../command.ts";
import { defined } from "../defined.ts";
import { flag, name, output, required } from "../options.ts";
import { prepareOutFile } from "../out-file.ts";
import { wroteJson, wroteText } from "../wrote.ts";
import { checkFinite, checkFiniteOption } from "./check-finite.ts";
import { modelArgument, runOptions, withEditedModel } from "./model.ts";
import { encodePrompt, givenPrompt, promptArgument, promptOptions } from "./prompt.ts";

export const logits = defineCommand({
  name: "logits",
  summary: "Write the logits at every position to a safetensors file",
  description: [
    "Runs the model once over the tokens and writes the tensor `logits`, float32 [tokens, vocabulary]: row t holds the " +
      "scores for the token after position t.",
  ],
  positionals: { model: modelArgument, prompt: promptArgument },
  options: {
    ...promptOptions,
    out: output(required("FILE", "The safetensors file to write", name)),
    last: flag("Only the last position: [1, vocabulary]"),
    json: flag("Print one JSON object: the file, and its tensors with dtypes and shapes"),
    checkFinite: checkFiniteOption,
    ...runOptions,
  },
  examples: [
    { line: "logits weights/stories260K --tokens 1,403,407 --out logits.safetensors", shows: "Three positions:" },
  ],
  async run(values, context) {
    const prompt = givenPrompt(values);
    const file = await prepareOutFile(values.out);
    await withEditedModel(values, context, async (model) => {
      const { last, promptLength } = values;
      const options = { last, signal: context.signal, ...defined({ promptLength }) };
      const tokens = encodePrompt(model, prompt);
      await checkFinite(values.checkFinite, model, [tokens], promptLength, context);
      const work = model.logits(tokens, options);
      const { data, shape } = await context.progress.during("running the model", work);
      const tensors = new Map([["logits", storeFloat32(data, shape)]]);
      await file.write(writeSafetensors(tensors));
      context.stdout.write(
        values.json ? `${JSON.stringify(wroteJson(values.out, tensors))}\n` : wroteText(values.out, tensors),
      );
    });
  },
});
