/** The kernels that can norm rows, for the tuner. */
import type { KernelFamily } from "./kernel.ts";
import { type NormShape, normKernels, registerNorm } from "./norm.ts";
import type { Operation } from "./variants.ts";

const ANY = Number.POSITIVE_INFINITY;

/**
 * Variants are of one summation class, the one that norms with stages have too: rows that no stage edits must keep
 * their bits whether or not there are stages.
 */
export function normOperation(
  shape: NormShape,
  choice: { readonly family: KernelFamily; readonly reference?: boolean },
): Operation {
  return {
    name: `norm ${shape.kind}`,
    shape: `${shape.width}`,
    dtype: "f32",
    guess: normKernels(shape, choice),
    variants: () =>
      choice.family === "tiled"
        ? []
        : [
            { name: "register1", rows: [1, ANY], kernel: registerNorm(shape, 1) },
            { name: "register4", rows: [1, ANY], kernel: registerNorm(shape, 4) },
          ],
  };
}
