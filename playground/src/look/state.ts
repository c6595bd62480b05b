/** What is looked at inside the model: attention, norms, and the logit lens of one prompt. */
import { signal } from "@preact/signals";
import type { Lens } from "sluice";
import type { WorkerModel } from "../engine.ts";
import { bundleInputs, composeSettings, hasStages } from "../state/bundles.ts";
import { type Failure, failureOf } from "../state/failure.ts";
import { model } from "../state/model.ts";
import { readPrompt } from "../steer/run.ts";

export interface Seen {
  readonly tokens: readonly string[];
  readonly ids: readonly number[];
  /** By layer: `[heads, T, T]`. */
  readonly attention: readonly { readonly data: Float32Array; readonly heads: number }[];
  /** By site, then layer: the norm of every token's row. */
  readonly norms: ReadonlyMap<string, readonly (readonly number[])[]>;
  readonly lens: Lens;
  readonly withStages: boolean;
}

/** Sites whose norms are shown. */
export const normSites = ["resid_post", "attn_out", "mlp_out"] as const;

export const text = signal("The king said to the queen, I will go home.");
export const usesStages = signal(false);
export const seen = signal<Seen | null>(null);
export const isLooking = signal(false);
export const lookFailure = signal<Failure | null>(null);
export const layer = signal(0);
export const head = signal<number | null>(null);
export const token = signal<number | null>(null);

/** Attention is a picture of tokens by tokens; of a longer text the first are shown. */
const MOST_TOKENS = 64;

export async function look(): Promise<void> {
  const opened = model.value;
  if (!opened || isLooking.value) return;
  isLooking.value = true;
  lookFailure.value = null;
  const withStages = usesStages.value && hasStages.value;
  try {
    const subject = withStages ? await opened.with(bundleInputs(), composeSettings()) : opened;
    const ids = (await readPrompt(opened, text.value)).slice(0, MOST_TOKENS);
    const layers = Array.from({ length: opened.config.num_hidden_layers }, (_, i) => i);
    const patterns = layers.map((i) => `attn_pattern.${i}`);
    const sites = normSites.flatMap((site) => layers.map((i) => `${site}.${i}`));
    const captured = await subject.capture(ids, [...patterns, ...sites]);
    const lens = await subject.lens(ids, { top: 4 });
    const tokens = lens.texts ?? ids.map(String);
    seen.value = {
      tokens,
      ids,
      attention: patterns.map((name) => {
        const { data, shape } = captured.get(name) ?? { data: new Float32Array(), shape: [0] };
        return { data, heads: shape[0] ?? 0 };
      }),
      norms: new Map(normSites.map((site) => [site, layers.map((i) => rowNorms(captured.get(`${site}.${i}`)))])),
      lens,
      withStages,
    };
    layer.value = Math.min(layer.value, layers.length - 1);
    head.value = null;
    token.value = null;
    if (subject !== opened) subject.dispose();
  } catch (error) {
    lookFailure.value = failureOf(error);
  } finally {
    isLooking.value = false;
  }
}

/** All sites of the prompt as a safetensors file. */
export async function captureBytes(opened: WorkerModel): Promise<Uint8Array> {
  const { writeSafetensors } = await import("sluice");
  const ids = seen.value?.ids ?? [];
  const names = opened.sites.flatMap(({ name, layers }) =>
    layers === null ? [name] : Array.from({ length: layers }, (_, i) => name.replace("LAYER", String(i))),
  );
  const captured = await opened.capture(ids, names);
  const tensors = new Map(
    [...captured].map(([name, { data, shape }]) => {
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      return [name, { dtype: "F32", shape, bytes }] as const;
    }),
  );
  return writeSafetensors(tensors, new Map([["tokens", JSON.stringify(ids)]]));
}

function rowNorms(matrix: { readonly data: Float32Array; readonly shape: readonly number[] } | undefined): number[] {
  const [rows = 0, width = 0] = matrix?.shape ?? [];
  return Array.from({ length: rows }, (_, row) => {
    let sum = 0;
    for (let i = row * width; i < (row + 1) * width; i++) sum += (matrix?.data[i] as number) ** 2;
    return Math.sqrt(sum);
  });
}
