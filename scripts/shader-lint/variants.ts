/**
 * Kernels made one flag at a time, for cases that no imagined plan has: every epilogue with every capture, edit and design, all
 * ways to store weights where they are read, every activation.
 */

import { patternKernel } from "../../src/kernels/attention/attention.ts";
import { attentionDecode } from "../../src/kernels/attention/decode.ts";
import { attentionRegister } from "../../src/kernels/attention/register.ts";
import { attentionScalar } from "../../src/kernels/attention/scalar.ts";
import type { AttentionShape } from "../../src/kernels/attention/shape.ts";
import { attentionMerge } from "../../src/kernels/attention/split.ts";
import { attentionTiled } from "../../src/kernels/attention/tiled.ts";
import { backwardActivation } from "../../src/kernels/backward/activation.ts";
import { backwardLinear } from "../../src/kernels/backward/linear.ts";
import { embedKernel } from "../../src/kernels/embed.ts";
import { inOrder, type Kernel } from "../../src/kernels/kernel.ts";
import {
  groupedLinear,
  type LinearEpilogue,
  type LinearShape,
  lanesLinear,
  linearLists,
  linearTaps,
  registerLinear,
  splitLinear,
  tileLinear,
} from "../../src/kernels/linear/linear.ts";
import { editedNormKernel } from "../../src/kernels/norm/edited.ts";
import { normKernel } from "../../src/kernels/norm/norm.ts";
import { headSourcesKernel } from "../../src/kernels/stages/head-sources.ts";
import { weightDtypes } from "../../src/kernels/weight-dtype.ts";

const maxRows = 256;
const activations = ["gelu_new", "gelu", "gelu_quick", "relu", "silu"] as const;
/** Every way to store weights, each where it is read. */
const storage = weightDtypes;
const families = ["register", "tiled"] as const;

export function variantKernels(): readonly Kernel[] {
  return [...linearVariants(), ...attentionVariants(), ...normVariants(), ...embedVariants(), ...backwardVariants()];
}

const designs: readonly ((shape: LinearShape) => Kernel)[] = [
  (shape) => registerLinear(shape, 1),
  (shape) => registerLinear(shape, 4),
  (shape) => lanesLinear(shape, 2),
  (shape) => tileLinear(shape, 32),
  (shape) => splitLinear(shape, 4),
];

function linearVariants(): readonly Kernel[] {
  const heads = { count: 4, head_dim: 32, bias: true, listed: 2 };
  const qkv = (rope: boolean): LinearEpilogue => ({ kind: "qkv", heads: 4, kvHeads: 2, headDim: 32, rope });
  const epilogues: readonly LinearEpilogue[] = [
    { kind: "store" },
    { kind: "residual" },
    ...activations.flatMap((activation) => (["activation", "gated"] as const).map((kind) => ({ kind, activation }))),
    qkv(false),
    qkv(true),
  ];
  const stored = storage.flatMap((dtype) =>
    designs.map((make) =>
      make({ K: 128, N: 256, strips: 64, dtype, epilogue: { kind: "store" }, bias: false, taps: [], maxRows }),
    ),
  );
  const followed = epilogues.flatMap((epilogue) => {
    const plain: LinearShape = { K: 128, N: 256, strips: 64, dtype: "f32", epilogue, bias: true, taps: [], maxRows };
    const edits = linearLists(epilogue.kind);
    const shapes: readonly LinearShape[] = [
      plain,
      { ...plain, bias: false, outs: true },
      { ...plain, taps: linearTaps(epilogue.kind) },
      { ...plain, edits, stacked: true },
      { ...plain, edits, taps: linearTaps(epilogue.kind), sourced: true },
    ];
    const kernels = shapes.flatMap((shape) => designs.map((make) => make(shape)));
    if (epilogue.kind === "residual" || epilogue.kind === "store") {
      const summed = { ...plain, heads, edits };
      kernels.push(registerLinear(summed, 1), registerLinear({ ...summed, heads: { ...heads, bias: false } }, 4));
    }
    if (epilogue.kind === "qkv") {
      const grouped = { ...plain, grouped: true };
      const odd = { ...grouped, epilogue: { ...epilogue, headDim: epilogue.rope ? 4 : 5 } };
      kernels.push(
        ...[grouped, { ...grouped, taps: linearTaps("qkv") }].flatMap((s) => designs.map((make) => make(s))),
      );
      const halves = { ...plain, epilogue: { ...epilogue, cache: "f16" as const } };
      kernels.push(registerLinear(halves, 1), tileLinear({ ...halves, taps: linearTaps("qkv") }, 32));
      kernels.push(groupedLinear(odd), groupedLinear({ ...odd, taps: linearTaps("qkv"), bias: false }));
      kernels.push(...storage.map((dtype) => groupedLinear({ ...odd, dtype })));
    }
    return kernels;
  });
  return [...stored, ...followed].flatMap(inOrder);
}

function attentionVariants(): readonly Kernel[] {
  return [32, 15].flatMap((head_dim) => {
    const plain: AttentionShape = { heads: 4, kv_heads: 2, head_dim, taps: [], maxRows };
    return [
      plain,
      { ...plain, taps: ["z"] },
      { ...plain, staged: true },
      { ...plain, taps: ["z"], staged: true },
      ...(head_dim % 4 === 0 ? [{ ...plain, cache: "f16" as const }] : []),
    ].flatMap((shape) =>
      head_dim % 4 === 0
        ? [
            attentionRegister(shape, 1),
            attentionRegister(shape, 4),
            attentionDecode(shape),
            attentionTiled(shape),
            patternKernel(shape),
            attentionMerge(shape, 4),
          ]
        : [attentionScalar(shape)],
    );
  });
}

function normVariants(): readonly Kernel[] {
  const taps = ["delta", "resid_post", "resid_pre", "out"];
  return (["layer", "rms"] as const).flatMap((kind) =>
    families.flatMap((family) =>
      [true, false].flatMap((flagged) =>
        [[], ...taps.map((tap) => [tap]), taps].flatMap((wanted) => {
          const shape = { kind, width: 64, maxRows, flagged, taps: wanted };
          const all = { ...shape, deltas: true, sourced: true, tracked: true, scales: true, ranks: 4 };
          return [
            normKernel(shape, { family, subgroups: true }),
            normKernel({ ...shape, outs: true }, { family }),
            editedNormKernel({ ...all, sourced: false, tracked: false, ranks: 1 }, 1, { family }),
            editedNormKernel({ ...all, deltas: false, tracked: false, scales: false }, 2, { family }),
            editedNormKernel({ ...all, scales: false, ranks: 0, programs: true }, 1, { family, subgroups: true }),
            editedNormKernel(all, 3, { family, subgroups: true }),
            editedNormKernel({ ...all, outs: true }, 1, { family }),
          ];
        }),
      ),
    ),
  );
}

function embedVariants(): readonly Kernel[] {
  return storage.flatMap((wte) =>
    (["f32", "f16", "bf16", undefined] as const).flatMap((wpe) => {
      const plain = { width: 64, vocab: 100, wte, ...(wpe && { wpe }), maxRows };
      return [
        embedKernel(plain),
        embedKernel({ ...plain, taps: ["embed", "resid_pre"] }),
        embedKernel({ ...plain, taps: ["resid_pre"], staged: true }),
        embedKernel({ ...plain, taps: ["embed"], staged: true, sourced: true }),
      ];
    }),
  );
}

function backwardVariants(): readonly Kernel[] {
  const shape = { K: 128, N: 96, strips: 24, maxRows };
  return [
    ...activations.flatMap((activation) =>
      [true, false].map((gated) => backwardActivation({ activation, gated, width: 64, maxRows })),
    ),
    ...storage.flatMap((dtype) => [
      ...[30, 32].map((head_dim) =>
        headSourcesKernel({ heads: 4, head_dim, width: 64, strips: 16, dtype, bias: head_dim === 32, maxRows }, 2),
      ),
      backwardLinear({ ...shape, dtype, reads: { kind: "spans", variants: [[[0, 10]], [[10, 96]]] } }, 8),
      backwardLinear({ ...shape, dtype, reads: { kind: "heads", heads: 32, head_dim: 3 } }, 1),
    ]),
  ];
}
