/** How tokens are drawn. */
import type { Signal } from "@preact/signals";
import { NumberField } from "../parts/controls.tsx";
import { model } from "../state/model.ts";
import type { Sampling } from "./pair.ts";

export function SamplingFields({ sampling }: { readonly sampling: Signal<Sampling> }) {
  const set = (change: Partial<Sampling>) => {
    sampling.value = { ...sampling.value, ...change };
  };
  const { temperature, seed, maxNewTokens } = sampling.value;
  return (
    <div class="settings">
      <NumberField
        label="New tokens"
        value={maxNewTokens}
        least={1}
        most={model.value?.config.max_position_embeddings ?? 1024}
        step={1}
        onChange={(value) => set({ maxNewTokens: Math.round(value) })}
      />
      <NumberField
        label="Temperature"
        value={temperature}
        least={0}
        most={5}
        step={0.1}
        onChange={(value) => set({ temperature: value })}
      />
      <NumberField
        label="Seed"
        value={seed}
        least={0}
        most={2 ** 32}
        step={1}
        onChange={(value) => set({ seed: Math.round(value) })}
      />
    </div>
  );
}
