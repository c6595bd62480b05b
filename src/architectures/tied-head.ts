/** Heads that are stored beside an embedding that config.json ties them to. */
import type { Checkpoint, TensorInfo } from "../formats/checkpoint.ts";
import type { ModelConfig } from "../model-config.ts";
import { endsOf } from "./build.ts";
import type { Notice } from "./config-fields.ts";

/** Of each tensor at a time. */
const COMPARED_BYTES = 4 << 20;

/**
 * Decides as transformers 5 does: a stored head that differs from the embedding is used, whatever config.json says; one
 * that equals it is the embedding, and is not read a second time.
 * @param note is told of a head that is used against config.json
 * @returns the configuration, with `tie_word_embeddings` as it is
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
  if (!checkpoint.forwardOnly && (await areEqual(embedding, head, checkpoint, signal))) return config;
  note(
    `config.json ties the head to the embedding, but the weights hold another ${head.name}; it is used, as ` +
      `transformers 5 does`,
  );
  return untied;
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
