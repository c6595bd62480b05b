/** `sluice bundle inspect` */
import { argument, defineCommand } from "../command.ts";

export const bundleInspect = defineCommand({
  name: "bundle inspect",
  summary: "Describe in words what a bundle does to which model",
  description: [
    "Checks a bundle against the model that it names, and describes each stage, how the bundle was fitted " +
      "and its checks.",
  ],
  positionals: { file: argument("The bundle, one .safetensors file") },
  options: {},
  examples: [{ line: "bundle inspect calm.safetensors", shows: "What is in a bundle:" }],
  async run({ file }, { library, signal, stdout }) {
    const bundle = await library.loadBundle(file, { signal });
    const { inspectBundle } = await import("../../interventions/inspect.ts");
    stdout.write(inspectBundle(bundle));
  },
});
