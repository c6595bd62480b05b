/** `sluice attribute` */
import { SluiceError } from "../../errors.ts";
import { parseSafetensors, storeFloat32, toFloat32, writeSafetensors } from "../../formats/safetensors.ts";
import type { MaskValues } from "../../index.ts";
import { defineCommand } from "../command.ts";
import { defined } from "../defined.ts";
import { flag, input, name, oneOf, optional, output, required } from "../options.ts";
import { prepareOutFile } from "../out-file.ts";
import { readWholeFile } from "../read-file.ts";
import { wroteJson, wroteText } from "../wrote.ts";
import { checkFinite } from "./check-finite.ts";
import { fitModelOptions, modelArgument, withModel } from "./model.ts";
import { encodePrompt, givenPrompt, promptArgument, promptOptions } from "./prompt.ts";

export const attribute = defineCommand({
  name: "attribute",
  summary: "Write how the loss depends on every edge between blocks",
  description: [
    "Computes the mean next-token cross-entropy of the tokens and its gradient with respect to a mask on the edges from " +
      "what each block writes to what each later block reads. Writes `gradient`, float32 [destinations, sources], 0 " +
      "where there is no edge, and `loss`, float32 [1].",
    "At a mask of ones the negative gradient is edge attribution patching: an estimate, for each edge, of how much the " +
      "loss rises when the edge is cut.",
  ],
  positionals: { model: modelArgument, prompt: promptArgument },
  options: {
    ...promptOptions,
    destinations: optional(
      "KIND",
      "heads: one input for each head; qkv_groups: one for each query head, key and value group (default: heads, or " +
        "qkv_groups if heads share keys and values)",
      oneOf("heads", "qkv_groups"),
    ),
    mask: input(
      optional(
        "FILE",
        "A safetensors file with `mask` [destinations, sources] and `constants` [sources, width], which replace what is " +
          "cut; other tensors are ignored (default: a mask of ones, and zeros)",
        name,
      ),
    ),
    out: output(required("FILE", "The safetensors file to write", name)),
    json: flag("Print one JSON object: the loss, the file, and its tensors with dtypes and shapes"),
    ...fitModelOptions,
  },
  examples: [
    {
      line: "attribute weights/gpt-nano-sort --tokens 2,0,1,2,1,0,0,0,1,1,2 --out edges.safetensors",
      shows: "Which of a small model's edges its loss depends on:",
    },
  ],
  async run(values, context) {
    const { library, signal, progress, stdout } = context;
    const prompt = givenPrompt(values);
    const given = values.mask === undefined ? {} : await readMask(values.mask, signal);
    const file = await prepareOutFile(values.out);
    await withModel({ ...values, plan: undefined }, context, async (model) => {
      const tokens = encodePrompt(model, prompt);
      await checkFinite(values.checkFinite, model, [tokens], undefined, context);
      const work = library.attributeEdges(model, tokens, {
        ...defined({ destinations: values.destinations }),
        ...given,
        signal,
        onProgress: (phase, done, total) =>
          phase === "compile"
            ? progress.count("compiling", { done, total, unit: "kernels" })
            : progress.count("running the model", { done, total, unit: "dispatches" }),
      });
      const { loss, gradient } = await progress.during("running the model", work);
      const tensors = new Map([
        ["gradient", storeFloat32(gradient.data, gradient.shape)],
        ["loss", storeFloat32(Float32Array.of(loss), [1])],
      ]);
      await file.write(writeSafetensors(tensors));
      stdout.write(
        values.json
          ? `${JSON.stringify({ loss, ...wroteJson(values.out, tensors), run: context.record(model.device.name) })}\n`
          : `loss ${loss.toFixed(4)} nats per predicted token\n${wroteText(values.out, tensors)}`,
      );
    });
  },
});

/** @throws SluiceError `not_found`, `bad_file`, `aborted` */
async function readMask(path: string, signal: AbortSignal): Promise<MaskValues> {
  const { tensors } = parseSafetensors(await readWholeFile(path, signal), path);
  const tensor = (key: string) => {
    const stored = tensors.get(key);
    return stored && { data: toFloat32(stored), shape: stored.shape };
  };
  const mask = tensor("mask");
  if (!mask) {
    throw new SluiceError("bad_file", `${path} has no tensor "mask"`, {
      hint: "Write `mask` [destinations, sources], and `constants` [sources, width] unless zeros replace what is cut.",
    });
  }
  return { mask, ...defined({ constants: tensor("constants") }) };
}
