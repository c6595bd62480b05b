/** `sluice bundle seal` */
import { SluiceError } from "../../errors.ts";
import { writeBundle } from "../../interventions/bundle.ts";
import { argument, defineCommand } from "../command.ts";
import { name, optional, output } from "../options.ts";
import { prepareOutFile } from "../out-file.ts";
import { isAddress, modelArgument, modelOptions, withModel } from "./model.ts";

export const bundleSeal = defineCommand({
  name: "bundle seal",
  summary: "Give a bundle checks, by which `bundle check` proves it on other devices",
  description: [
    "Runs the model with the bundle, at the bundle's own strengths, on three short prompts, and notes the highest logits in " +
      "the bundle. Checks that it has are replaced. Bundles that sluice makes with a model at hand have checks already.",
  ],
  positionals: { file: argument("The bundle, one .safetensors file"), model: modelArgument },
  options: {
    out: output(optional("FILE", "The bundle to write (default: the bundle itself, which is replaced)", name)),
    ...modelOptions,
  },
  examples: [
    { line: "bundle seal calm.safetensors weights/gpt2-stories", shows: "A bundle that was written in Python:" },
  ],
  async run(values, context) {
    const { library, progress, signal, stdout } = context;
    const { file, out = file } = values;
    if (isAddress(out)) {
      throw new SluiceError("usage", `${out} is an address, which cannot be written`, {
        hint: "Name a file for the bundle: --out FILE.",
      });
    }
    const bundle = await library.loadBundle(file, { signal });
    const target = await prepareOutFile(out);
    const sealed = await withModel(values, context, (model) =>
      progress.during("measuring checks", library.sealBundle(model, bundle, { signal })),
    );
    await target.write(writeBundle(sealed));
    const count = sealed.manifest.checks?.length ?? 0;
    const before = bundle.manifest.checks?.length ?? 0;
    stdout.write(`${out}: ${count} checks${before > 0 ? `, in place of ${before}` : ""}\n`);
  },
});
