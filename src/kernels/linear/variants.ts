/** The kernels that can serve a linear layer, for the tuner. */
import type { Kernel } from "../kernel.ts";
import type { KernelVariant, Operation } from "../variants.ts";
import {
  type LinearChoice,
  type LinearEpilogue,
  type LinearShape,
  lanesLinear,
  linearKernels,
  mostSplitRows,
  registerLinear,
  servesGroups,
  splitCounts,
  splitLinear,
  tileLinear,
} from "./linear.ts";

const ANY = Number.POSITIVE_INFINITY;

/** Name, rows for which it is worth a try, and how the kernel is made. */
const variants: readonly (readonly [
  name: string,
  rows: readonly [least: number, most: number],
  make: (shape: LinearShape, choice: LinearChoice) => Kernel,
])[] = [
  ["register1x1", [1, 2], (shape) => registerLinear(shape, 1, 1)],
  ["register1x2", [1, 2], (shape) => registerLinear(shape, 1, 2)],
  ["register2x1", [2, 4], (shape) => registerLinear(shape, 2, 1)],
  ["register2x2", [2, 4], (shape) => registerLinear(shape, 2, 2)],
  ["register4x1", [4, 32], (shape) => registerLinear(shape, 4, 1)],
  ["register4x2", [4, ANY], (shape) => registerLinear(shape, 4, 2)],
  ["register6x1", [6, 12], (shape) => registerLinear(shape, 6, 1)],
  ["register6x2", [6, ANY], (shape) => registerLinear(shape, 6, 2)],
  ["register8x1", [8, ANY], (shape) => registerLinear(shape, 8, 1)],
  ["register8x2", [8, ANY], (shape) => registerLinear(shape, 8, 2)],
  ["lanes1x1", [1, 1], (shape, choice) => lanesLinear(shape, 1, 1, choice)],
  ["lanes1x2", [1, 1], (shape, choice) => lanesLinear(shape, 1, 2, choice)],
  ["lanes2x1", [2, 2], (shape, choice) => lanesLinear(shape, 2, 1, choice)],
  ["lanes2x2", [2, 2], (shape, choice) => lanesLinear(shape, 2, 2, choice)],
  ["lanes4x1", [4, 4], (shape, choice) => lanesLinear(shape, 4, 1, choice)],
  ["lanes4x2", [4, 4], (shape, choice) => lanesLinear(shape, 4, 2, choice)],
  ["lanes8x1", [6, 8], (shape, choice) => lanesLinear(shape, 8, 1, choice)],
  ["tile32", [6, ANY], (shape) => tileLinear(shape, 32)],
  ["tile64", [6, ANY], (shape) => tileLinear(shape, 64)],
];

export function linearOperation(shape: LinearShape, choice: LinearChoice): Operation {
  const { K, N, strips, dtype, epilogue } = shape;
  const part = strips === Math.ceil(N / 4) ? "" : `/${strips * 4}`;
  return {
    name: `linear ${epilogueName(epilogue)}`,
    shape: `${K}x${N}${part}`,
    dtype,
    guess: linearKernels(shape, choice),
    variants: () => {
      // Where heads straddle strips, one kernel alone reads the variants of an edge mask.
      if (!servesGroups(shape)) return [];
      const whole = variants.map(([name, rows, make]): KernelVariant => ({ name, rows, kernel: make(shape, choice) }));
      const all = [...whole, ...splitVariants(shape)];
      // A gate and its up are neighbours: one strip a thread is then two.
      return all.filter(({ kernel }, i) => all.findLastIndex((other) => other.kernel.name === kernel.name) === i);
    },
  };
}

/** Fewer rows go by lanes, which share out K as it is. */
const FEWEST_SPLIT_ROWS = 6;

/** Sums of single heads stand in register kernels alone. */
function splitVariants(shape: LinearShape): readonly KernelVariant[] {
  if (shape.heads) return [];
  return splitCounts
    .map((parts): KernelVariant => {
      const rows = [FEWEST_SPLIT_ROWS, mostSplitRows(shape, parts)] as const;
      return { name: `split${parts}`, rows, kernel: splitLinear(shape, parts) };
    })
    .filter(({ rows: [least, most] }) => least <= most);
}

/** A stage may move the residual add out of the matmul; the kernel that suits the product is the same. */
function epilogueName(epilogue: LinearEpilogue): string {
  switch (epilogue.kind) {
    case "qkv":
      return epilogue.rope ? "qkv rope" : "qkv";
    case "activation":
    case "gated":
      return `${epilogue.kind} ${epilogue.activation}`;
    default:
      return "plain";
  }
}
