/** Logits under the reference plan, as text that is equal where the bits are. Runs in Node and in a page. */
import { openAdapter } from "../../src/gpu/node.ts";
import { load } from "../../src/index.ts";
import { location } from "./files.ts";

const SOME_TOKENS = [1, 5, 9, 2, 30, 7, 7, 11, 0, 3];
const RUNS = [
  { folder: "test/golden/gpt2-tiny", family: "register", tokens: SOME_TOKENS },
  { folder: "test/golden/llama3-tiny", family: "register", tokens: SOME_TOKENS },
  { folder: "test/golden/gpt2-tiny", family: "tiled", tokens: SOME_TOKENS },
  { folder: "test/golden/llama-tiny", family: "tiled", tokens: SOME_TOKENS },
] as const;

export type Limits = Readonly<Record<string, number>>;

/** The limits of the adapter, by name: all that a device can be asked to raise. */
export async function adapterLimits(choice?: string): Promise<Limits> {
  const { adapter } = await openAdapter({ adapter: choice });
  const limits: Record<string, number> = {};
  for (const name in adapter.limits) {
    const value = adapter.limits[name as keyof GPUSupportedLimits];
    if (name.startsWith("max") && typeof value === "number") limits[name] = value;
  }
  return limits;
}

/** Hexadecimal logits by model and kernel family, on a device of just these limits. */
export async function referenceBits(
  requiredLimits: Limits,
  choice?: string,
): Promise<Readonly<Record<string, string>>> {
  const { adapter } = await openAdapter({ adapter: choice });
  const device = await adapter.requestDevice({ requiredLimits });
  const bits: Record<string, string> = {};
  for (const { folder, family, tokens } of RUNS) {
    const model = await load(location(folder), { device, plan: "reference", family });
    const { data } = await model.logits(tokens);
    const words = new Uint32Array(data.buffer, data.byteOffset, data.length);
    bits[`${folder} ${family}`] = Array.from(words, (word) => word.toString(16).padStart(8, "0")).join(" ");
    model.dispose();
  }
  device.destroy();
  return bits;
}
