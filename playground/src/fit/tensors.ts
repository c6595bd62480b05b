/** What a fit found, read from the tensors of its bundle. */
import type { Bundle } from "sluice";

/** Values of a float32 tensor. */
function values({ tensors }: Bundle, name: string): Float32Array {
  const stored = tensors.get(name);
  return stored ? new Float32Array(stored.bytes.slice().buffer) : new Float32Array();
}

/** Length of the direction of every layer. */
export function directionNorms(bundle: Bundle): readonly { readonly layer: number; readonly norm: number }[] {
  return [...bundle.tensors.keys()].flatMap((name) => {
    const layer = /\.(\d+)\.(?:direction|u)$/.exec(name)?.[1];
    if (layer === undefined) return [];
    return [{ layer: Number(layer), norm: Math.hypot(...values(bundle, name)) }];
  });
}

const BINS = 20;

/** How many neurons have which AUROC. */
export function aurocHistogram(bundle: Bundle): readonly { readonly from: number; readonly count: number }[] {
  const counts = new Array<number>(BINS).fill(0);
  for (const name of bundle.tensors.keys()) {
    if (!name.endsWith(".auroc")) continue;
    for (const value of values(bundle, name)) {
      const bin = Math.min(BINS - 1, Math.floor(value * BINS));
      counts[bin] = (counts[bin] ?? 0) + 1;
    }
  }
  return counts.map((count, i) => ({ from: i / BINS, count }));
}
