/** `sluice bundle import` */
import { argument, defineCommand } from "../command.ts";
import { name, output, required } from "../options.ts";
import { prepareOutFile } from "../out-file.ts";
import { readWholeFile } from "../read-file.ts";
import { modelArgument } from "./model.ts";

export const bundleImport = defineCommand({
  name: "bundle import",
  summary: "Make a bundle of a control vector in GGUF",
  description: [
    "Reads a control vector as llama.cpp and repeng write them. Its direction.N is added to the stream that leaves layer " +
      "N: a stage `control` at resid_post, whose strength is llama.cpp's scale.",
  ],
  positionals: { file: argument("The control vector, a .gguf file"), model: modelArgument },
  options: { out: output(required("FILE", "The bundle to write", name)) },
  examples: [
    {
      line: "bundle import happy.gguf mistral-7b --out happy.safetensors",
      shows: "A control vector for a model, of which config.json alone is read:",
    },
  ],
  async run({ file, model, out }, { signal, stdout, note }) {
    const target = await prepareOutFile(out);
    const bytes = await readWholeFile(file, signal);
    const [{ importControlVector }, { readModelConfig }, { writeBundle }] = await Promise.all([
      import("../../interventions/import-gguf.ts"),
      import("../../model/read-model-config.ts"),
      import("../../interventions/bundle.ts"),
    ]);
    const bundle = importControlVector(new Uint8Array(bytes), file, await readModelConfig(model, { signal }), note);
    await target.write(writeBundle(bundle));
    const [stage] = bundle.manifest.stages;
    stdout.write(`${out}: ${stage?.id}, ${bundle.tensors.size} layers\n`);
  },
});
