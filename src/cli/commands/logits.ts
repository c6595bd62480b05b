/** `sluice logits` */
import { storeFloat32, writeSafetensors } from "../../formats/safetensors.ts";
import { defineCommand } from "../command.ts";
import { flag, name, required } from "../options.ts";
import { checkWritable, writeResult } from "../result-file.ts";
import { modelArgument, modelOptions, requiredTokens, withModel } from "../with-model.ts";

export const logits = defineCommand({
  name: "logits",
  summary: "Write the logits of a token sequence to a safetensors file",
  description: [
    "Writes a tensor `logits`, float32 [tokens, vocabulary]: row t holds the scores for the token after position t.",
  ],
  positionals: { model: modelArgument },
  options: {
    tokens: requiredTokens,
    out: required("FILE", "Safetensors file to write", name),
    last: flag("The last position alone: [1, vocabulary]"),
    ...modelOptions,
  },
  examples: [
    { line: "logits weights/stories260K --tokens 1,403,407 --out logits.safetensors", shows: "Three positions:" },
  ],
  async run(values, context) {
    await checkWritable(values.out);
    const { data, shape } = await withModel(context, values.model, values, (model) =>
      context.progress.during("computing", model.logits(values.tokens, { last: values.last, signal: context.signal })),
    );
    await writeResult(values.out, writeSafetensors(new Map([["logits", storeFloat32(data, shape)]])));
  },
});
