/** `sluice bundle compose` */
import { argumentList, defineCommand } from "../command.ts";
import { name, optional, output, required } from "../options.ts";
import { prepareOutFile } from "../out-file.ts";
import { withChecks } from "./checks.ts";
import { parseBundleChoice } from "./interventions.ts";

export const bundleCompose = defineCommand({
  name: "bundle compose",
  summary: "Make one bundle of several",
  description: [
    "Writes the stages of all bundles into one file, in the order given. They must be for one model. If two use the " +
      "same id, FILE:as=PREFIX makes a bundle's ids PREFIX-ID.",
    "Each bundle's checks hold for it alone. With --model the new bundle gets checks of its own.",
  ],
  positionals: { bundles: argumentList("Bundle files, each FILE or FILE:as=PREFIX") },
  options: {
    out: output(required("FILE", "The bundle to write", name)),
    model: optional("MODEL", "Measure checks for the new bundle on this model", name),
  },
  examples: [
    {
      line: "bundle compose calm.safetensors aura.safetensors --out both.safetensors",
      shows: "Two bundles in one file:",
    },
  ],
  async run({ bundles, out, model }, context) {
    const { library, signal, stdout, note } = context;
    const choices = bundles.map((text) => parseBundleChoice(text, "BUNDLES"));
    const file = await prepareOutFile(out);
    const given = [];
    for (const { path, prefix } of choices) {
      given.push({ bundle: await library.loadBundle(path, { signal }), ...(prefix !== null && { prefix }) });
    }
    const { mergeBundles } = await import("../../interventions/merge.ts");
    const { writeBundle } = await import("../../interventions/bundle.ts");
    const merged = mergeBundles(given, out);
    if (model === undefined) note(`${out} has no checks; sluice bundle seal ${out} MODEL adds them`);
    await file.write(writeBundle(model === undefined ? merged : await withChecks(merged, { model }, out, context)));
    stdout.write(`${out}: ${merged.manifest.stages.map(({ id }) => id).join(", ")}\n`);
  },
});
