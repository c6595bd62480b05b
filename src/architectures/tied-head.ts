/** Heads that are stored although config.json ties them to the embedding. */
import type { Checkpoint, TensorInfo } from "../formats/checkpoint.ts";
import type { ModelConfig } from "../model-config.ts";
import { endsOf } from "./build.ts";
import type { Notice } from "./config-fields.ts";

/** Bytes compared at a time, of each tensor. */
const COMPARED_BYTES = 4 << 20;

/**
 * Decides like transformers 5: a stored head that differs from the embedding is used, despite config.json; one
 * that equals it is the embedding, and is not read a second time.
 * @param note receives a notice if a head is used despite config.json
 * @returns the configuration, with the actual `tie_word_embeddings`
 */
export async function settleHead(
  config: ModelConfig,
  checkpoint: Checkpoint,
  note: Notice,
  signal?: AbortSignal,
): Promise<ModelConfig> {
  if (!config.tie_word_embeddings) return config;
  const untied = { ...config, tie_word_embeddings: false };
  const { tensors } = checkpoint;
  const embedding = tensors.get(endsOf(config, checkpoint).embedding);
  const head = tensors.get(endsOf(untied, checkpoint).head);
  if (!embedding || !head || embedding === head) return config;
  // From a server that sends whole files, comparing would download both once more.
  if (!checkpoint.forwardOnly && (await areSame(embedding, head, checkpoint, signal))) return config;
  note(
    `config.json ties the head to the embedding, but the weights have a different ${head.name}; it is used, as in ` +
      `transformers 5`,
  );
  return untied;
}

/** Whether two matrices are equal in all that they are made of. */
async function areSame(a: TensorInfo, b: TensorInfo, checkpoint: Checkpoint, signal?: AbortSignal): Promise<boolean> {
  const [left, right] = [a, b].map(({ name }) => checkpoint.quantized?.get(name)?.tensors ?? [name]);
  for (const [i, name] of (left ?? []).entries()) {
    const [one, other] = [checkpoint.tensors.get(name), checkpoint.tensors.get(right?.[i] ?? "")];
    if (!one || !other || !(await areEqual(one, other, checkpoint, signal))) return false;
  }
  return true;
}

async function areEqual(a: TensorInfo, b: TensorInfo, checkpoint: Checkpoint, signal?: AbortSignal): Promise<boolean> {
  if (a.dtype !== b.dtype || a.byteLength !== b.byteLength || a.shape.join() !== b.shape.join()) return false;
  for (let begin = 0; begin < a.byteLength; begin += COMPARED_BYTES) {
    const end = Math.min(begin + COMPARED_BYTES, a.byteLength);
    const left = await checkpoint.read(a.name, begin, end, signal);
    const right = await checkpoint.read(b.name, begin, end, signal);
    if (!left.every((byte, i) => byte === right[i])) return false;
  }
  return true;
}
