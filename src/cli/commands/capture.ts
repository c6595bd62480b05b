/** `sluice capture` */
import { SluiceError } from "../../errors.ts";
import { storeFloat32, writeSafetensors } from "../../formats/safetensors.ts";
import { defineCommand } from "../command.ts";
import { name, repeated, required } from "../options.ts";
import { prepareOutFile } from "../out-file.ts";
import { modelArgument, modelOptions, toTokens, withModel } from "./model.ts";
import { choosePrompt, promptArgument, promptOptions } from "./prompt.ts";

export const capture = defineCommand({
  name: "capture",
  summary: "Write values from inside the model to a safetensors file",
  description: [
    "Runs the model once over the tokens and writes, for each site, a float32 tensor [tokens, width] of its name. " +
      "`sluice explain MODEL` lists the sites.",
  ],
  positionals: { model: modelArgument, prompt: promptArgument },
  options: {
    ...promptOptions,
    site: repeated("SITE", "Where to look, such as resid_post.1 or mlp_pre.0 (required)", name),
    out: required("FILE", "The safetensors file to write", name),
    ...modelOptions,
  },
  examples: [
    {
      line: "capture weights/stories260K --tokens 1,403,407 --site resid_post.1 --site mlp_pre.0 --out sites.safetensors",
      shows: "The residual stream after block 1, and the MLP of block 0 before its activation:",
    },
  ],
  async run(values, context) {
    const sites = [...new Set(values.site)];
    if (sites.length === 0) {
      throw new SluiceError("usage", "--site SITE is missing", { hint: "Name at least one: --site resid_post.1" });
    }
    const file = await prepareOutFile(values.out);
    const prompt = await choosePrompt(values, context);
    await withModel(values, context, async (model) => {
      const tokens = toTokens(model, prompt, { addSpecialTokens: true });
      const work = model.capture(tokens, sites, { signal: context.signal });
      const captured = await context.progress.during("running the model", work);
      const tensors = [...captured].map(([site, { data, shape }]) => [site, storeFloat32(data, shape)] as const);
      await file.write(writeSafetensors(new Map(tensors)));
    });
  },
});
