/** `sluice bundle compose` */
import { argumentList, defineCommand } from "../command.ts";
import { name, output, required } from "../options.ts";
import { prepareOutFile } from "../out-file.ts";
import { parseBundleChoice } from "./interventions.ts";

export const bundleCompose = defineCommand({
  name: "bundle compose",
  summary: "Make one bundle of several",
  description: [
    "Writes the stages of all bundles into one file, in the order given. They must be for one model. If two use the " +
      "same id, FILE:as=PREFIX makes a bundle's ids PREFIX-ID.",
  ],
  positionals: { bundles: argumentList("Bundle files, each FILE or FILE:as=PREFIX") },
  options: { out: output(required("FILE", "The bundle to write", name)) },
  examples: [
    {
      line: "bundle compose calm.safetensors aura.safetensors --out both.safetensors",
      shows: "Two bundles in one file:",
    },
  ],
  async run({ bundles, out }, { library, signal, stdout }) {
    const choices = bundles.map((text) => parseBundleChoice(text, "BUNDLES"));
    const file = await prepareOutFile(out);
    const given = [];
    for (const { path, prefix } of choices) {
      given.push({ bundle: await library.loadBundle(path, { signal }), ...(prefix !== null && { prefix }) });
    }
    const { mergeBundles } = await import("../../interventions/merge.ts");
    const { writeBundle } = await import("../../interventions/bundle.ts");
    const merged = mergeBundles(given, out);
    await file.write(writeBundle(merged));
    stdout.write(`${out}: ${merged.manifest.stages.map(({ id }) => id).join(", ")}\n`);
  },
});
