/** `sluice logits` */
import { storeFloat32, writeSafetensors } from "../../formats/safetensors.ts";
import { defineCommand } from "../command.ts";
import { flag, name, required } from "../options.ts";
import { prepareOutFile } from "../out-file.ts";
import { modelArgument, modelOptions, toTokens, withModel } from "./model.ts";
import { choosePrompt, promptArgument, promptOptions } from "./prompt.ts";

export const logits = defineCommand({
  name: "logits",
  summary: "Write the logits at every position to a safetensors file",
  description: ["Runs the model once over the tokens and writes the tensor `logits`, float32 [tokens, vocabulary]."],
  positionals: { model: modelArgument, prompt: promptArgument },
  options: {
    ...promptOptions,
    out: required("FILE", "The safetensors file to write", name),
    last: flag("The last position alone: [1, vocabulary]"),
    ...modelOptions,
  },
  examples: [
    { line: "logits weights/stories260K --tokens 1,403,407 --out logits.safetensors", shows: "Of three tokens:" },
  ],
  async run(values, context) {
    const file = await prepareOutFile(values.out);
    const prompt = await choosePrompt(values, context);
    await withModel(values, context, async (model) => {
      const tokens = toTokens(model, prompt, { addSpecialTokens: true });
      const work = model.logits(tokens, { last: values.last, signal: context.signal });
      const { data, shape } = await context.progress.during("running the model", work);
      await file.write(writeSafetensors(new Map([["logits", storeFloat32(data, shape)]])));
    });
  },
});
