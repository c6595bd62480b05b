/** Gradient through the MLP's activation: shaders/backward/activation.wgsl. */
import type { ActivationName } from "../../model-config.ts";
import type { Kernel } from "../kernel.ts";

export interface BackwardActivationShape {
  readonly activation: ActivationName;
  /** post = act(gate)·up, with strips of gate and up in turn in `pre`. */
  readonly gated: boolean;
  /** f */
  readonly width: number;
  /** MAX_ROWS of the step uniform. */
  readonly maxRows: number;
}

/** dpre from `pre` and `gradient` (dpost). Rows of pre and dpre are ceil4(f) floats, twice that if gated. No args. */
export function backwardActivation({ activation, gated, width, maxRows }: BackwardActivationShape): Kernel {
  const f4 = Math.ceil(width / 4);
  return {
    name: `backward_activation_${activation}${gated ? "_gated" : ""}_${width}_m${maxRows}`,
    shader: {
      entry: "backward/activation",
      conditions: { [activation]: true, gated },
      constants: { F4: `${f4}u`, MAX_ROWS: `${maxRows}u` },
    },
    summation: "none",
    workgroups: (rows) => [Math.ceil(f4 / 64), rows, 1],
    cost: ({ rows }) => ({ flops: rows * width * (gated ? 4 : 1), bytes: 4 * rows * width * (gated ? 5 : 3) }),
  };
}
