/** `sluice capture` */
import { SluiceError } from "../../errors.ts";
import { storeFloat32, writeSafetensors } from "../../formats/safetensors.ts";
import { defineCommand } from "../command.ts";
import { name, repeated, required } from "../options.ts";
import { checkWritable, writeResult } from "../result-file.ts";
import { modelArgument, modelOptions, requiredTokens, withModel } from "../with-model.ts";

export const capture = defineCommand({
  name: "capture",
  summary: "Write activations at named sites to a safetensors file",
  description: [
    "Writes a tensor per site, float32 [tokens, width]; attn_pattern.LAYER is [heads, tokens, tokens]. A site that does not exist is answered with the list of those that do.",
  ],
  positionals: { model: modelArgument },
  options: {
    tokens: requiredTokens,
    site: repeated("SITE", "What to capture, such as resid_post.1 or mlp_pre.0", name),
    out: required("FILE", "Safetensors file to write", name),
    ...modelOptions,
  },
  examples: [
    {
      line: "capture weights/stories260K --tokens 1,403,407 --site resid_post.1 --site mlp_post.0 --out sites.safetensors",
      shows: "The stream after block 1 and the neurons of block 0:",
    },
  ],
  async run(values, context) {
    if (values.site.length === 0) {
      throw new SluiceError("usage", "--site SITE is missing", {
        hint: "For example --site resid_post.1; it may be repeated.",
      });
    }
    await checkWritable(values.out);
    const sites = await withModel(context, values.model, values, (model) =>
      context.progress.during("computing", model.capture(values.tokens, values.site, { signal: context.signal })),
    );
    const tensors = new Map([...sites].map(([site, { data, shape }]) => [site, storeFloat32(data, shape)]));
    await writeResult(values.out, writeSafetensors(tensors));
  },
});
