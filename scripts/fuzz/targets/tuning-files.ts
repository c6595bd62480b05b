/** What the tuner remembers between runs: a record that is damaged or foreign is emptied, and never stops a load. */

import { readProfile } from "../../../src/gpu/profile.ts";
import { recall, remember } from "../../../src/tune/remembered.ts";
import { gpt2Small, imaginedPlan } from "../../../test/support/imagined-plan.ts";
import { MemoryStore } from "../../../test/support/memory-store.ts";
import { imaginedDevice } from "../imagined-device.ts";
import { Broken, type Files, isRare, type Target } from "../target.ts";

const profile = readProfile(imaginedDevice);
const small = { ...gpt2Small, num_layers: 1, vocab_size: 64 };
const silent = (): void => undefined;

async function written(): Promise<Files> {
  const store = new MemoryStore();
  const choices = {
    "linear qkv 768x2304 f32": { "1": "lanes1", more: "tile" },
    "attention 12 12 64": { "8": "tiled" },
  };
  await remember(store, profile, choices, silent);
  const texts = [...store.texts].map(([name, text]) => [name, new TextEncoder().encode(text)] as const);
  return new Map(texts);
}
const seeds = [await written()];

export const tuning: Target = {
  name: "tuning",
  seeds: () => seeds,
  async read(files, random) {
    const store = new MemoryStore([...files].map(([name, content]) => [name, new TextDecoder().decode(content)]));
    const choices = await recall(store, profile, silent);
    if (isRare(random)) imaginedPlan(small, { stages: [] } as never, { choices });
    const added = { "linear plain 1x1 f32": { "1": "register1x1" } } as const;
    const all = await remember(store, profile, added, silent);
    if (all["linear plain 1x1 f32"]?.["1"] !== "register1x1") throw new Broken("what was measured is not remembered");
  },
};
