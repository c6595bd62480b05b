/** `sluice bake` */
import { SluiceError } from "../../errors.ts";
import { defineCommand } from "../command.ts";
import { fetchModel } from "../fetch-model.ts";
import { prepareOutFolder, writeModelFolder } from "../model-folder.ts";
import { name, oneOf, optional, output, required, withDefault } from "../options.ts";
import { prepareOutFile } from "../out-file.ts";
import { withChecks } from "./checks.ts";
import { interventionOptions, interventionsFrom } from "./interventions.ts";
import { modelArgument } from "./model.ts";

const { with: bundles, strength, param, positions } = interventionOptions;

export const bake = defineCommand({
  name: "bake",
  summary: "Multiply interventions into a model's weights and write them as a folder",
  description: [
    "Folds what can be folded exactly: neuron scales, additions, and projections at the outputs of layers and at the " +
      "embedding, where they act on all tokens. The folder runs in any engine that reads Hugging Face models.",
    "A stage that no weight can take (edge masks, gates, projections of the stream, stages for some positions) is " +
      "refused by name, or written into a separate bundle with --remainder, to be applied to the baked model.",
    "Changed tensors are stored as float32, so that the baked model computes what the live one does; --dtype stored " +
      "keeps their own dtype, which rounds 16-bit weights once more.",
  ],
  positionals: { model: modelArgument },
  options: {
    with: bundles,
    strength,
    param,
    positions,
    out: output(required("FOLDER", "The folder to write, which must be new or empty", name)),
    remainder: output(optional("FILE", "Write what cannot be baked as a bundle, instead of refusing it", name)),
    dtype: withDefault("DTYPE", "How changed tensors are stored: f32 or stored", oneOf("f32", "stored"), "f32"),
  },
  examples: [
    {
      line: "bake weights/gpt2-stories --with calm.safetensors --strength calm=0.5 --out gpt2-calm",
      shows: "A calmer model, for any engine:",
    },
  ],
  async run(values, context) {
    const { library, signal, progress, note, stdout } = context;
    const interventions = interventionsFrom({ ...values, promptLength: undefined });
    if (interventions.bundles.length === 0) {
      throw new SluiceError("usage", "--with BUNDLE is missing", { hint: "Name the bundle to bake." });
    }
    await prepareOutFolder(values.out);
    const remainder = values.remainder === undefined ? null : await prepareOutFile(values.remainder);
    const given = [];
    for (const { path, prefix } of interventions.bundles) {
      given.push({ bundle: await library.loadBundle(path, { signal }), ...(prefix !== null && { prefix }) });
    }
    const [{ bakeModel }, { writeBundle }] = await Promise.all([
      import("../../model/bake-model.ts"),
      import("../../interventions/bundle.ts"),
    ]);
    await fetchModel(values.model, context);
    const { strengths, params, positions } = interventions;
    const settings = { strengths, params, positions };
    const baked = await bakeModel(values.model, given, { dtype: values.dtype, settings, signal, onNotice: note });
    try {
      if (baked.kept.length > 0 && !remainder) {
        const reasons = baked.kept.map(
          ({ id, layer, reason }) => `stage "${id}"${layer === null ? "" : ` in layer ${layer}`}: ${reason}`,
        );
        throw new SluiceError("bad_bundle", `This cannot be baked: ${reasons.join("; ")}`, {
          hint: "--remainder FILE writes it into a separate bundle, and bakes the rest.",
        });
      }
      const show = (done: number, total: number): void =>
        progress.count("writing the model", { done, total, unit: "bytes" });
      await writeModelFolder(values.out, baked, show, signal);
      stdout.write(`${values.out}: ${baked.changed} of ${baked.tensors} tensors changed\n`);
      if (!remainder || values.remainder === undefined) return;
      if (!baked.remainder) {
        note(`everything was baked; ${values.remainder} is not written`);
        return;
      }
      const left = await withChecks(baked.remainder, { model: values.out }, values.remainder, context);
      await remainder.write(writeBundle(left));
      const ids = baked.remainder.manifest.stages.map(({ id }) => id).join(", ");
      stdout.write(`${values.remainder}: apply it to the baked model with --with: ${ids}\n`);
    } finally {
      await baked.close();
    }
  },
});
