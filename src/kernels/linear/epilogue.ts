/** What follows the sums of a linear layer: shaders/linear/epilogue.wgsl. */
import type { ActivationName } from "../../model-config.ts";
import type { ArgValues } from "../kernel.ts";

/** The element type of cached keys and values. */
export type CacheDtype = "f32" | "f16";

/** What becomes of the sums. Taps that each offers, in order: see {@link linearTaps}. */
export type LinearEpilogue =
  /** y = acc + b. */
  | { readonly kind: "store" }
  /** y = act(acc + b). */
  | { readonly kind: "activation"; readonly activation: ActivationName }
  /** y = residual + (acc + b). */
  | { readonly kind: "residual" }
  /** Strips alternate gate, up, gate, up …; y = act(gate) · up, half as wide. */
  | { readonly kind: "gated"; readonly activation: ActivationName }
  /** Outputs are H·dh queries, G·dh keys and G·dh values; q is stored, k and v go to the cache slots of their rows. */
  | {
      readonly kind: "qkv";
      /** H. */
      readonly heads: number;
      /** G. */
      readonly kvHeads: number;
      /** dh; even if `rope`. */
      readonly headDim: number;
      /** Rotate q and k by the table `rope` [position][dh/2] = (cos, sin); pairs are adjacent outputs. */
      readonly rope: boolean;
      /** How keys and values are cached; default f32. With f16, dh % 4 = 0. */
      readonly cache?: CacheDtype;
    };

/** Values that can be captured (`taps`) and that stages can edit (`lists`), in the order of the kernels' args. */
const valuesOf = {
  store: { taps: [], lists: ["out"] },
  activation: { taps: ["pre", "post"], lists: ["pre", "post"] },
  residual: { taps: ["out"], lists: ["out"] },
  gated: { taps: ["gate", "up", "post"], lists: ["gate", "up", "post"] },
  qkv: { taps: ["q", "k", "v"], lists: [] },
} as const satisfies Record<LinearEpilogue["kind"], Record<"taps" | "lists", readonly string[]>>;

/** Names of the values that a linear kernel with this epilogue can capture. */
export function linearTaps(kind: LinearEpilogue["kind"]): readonly string[] {
  return valuesOf[kind].taps;
}

/** Names of the values that stages can edit in a linear kernel with this epilogue. */
export function linearLists(kind: LinearEpilogue["kind"]): readonly string[] {
  return valuesOf[kind].lists;
}

/** What an epilogue is called and compiled with. */
export interface EpilogueShader {
  /** In the name of a kernel: everything that changes its source. */
  readonly name: string;
  /** In the name of an operation: what decides which kernel suits it. */
  readonly operation: string;
  readonly conditions: Readonly<Record<string, boolean>>;
  readonly constants: Readonly<Record<string, string>>;
  /** The same as args, for kernels that serve every shape. */
  readonly args: ArgValues;
}

export function epilogueShader(epilogue: LinearEpilogue): EpilogueShader {
  const { kind } = epilogue;
  switch (kind) {
    // A stage may move the residual add out of the matmul; the kernel that suits the product is the same.
    case "store":
    case "residual":
      return { name: kind, operation: "plain", conditions: { [kind]: true }, constants: {}, args: {} };
    case "activation":
    case "gated": {
      const { activation } = epilogue;
      return {
        name: kind === "gated" ? `gated_${activation}` : activation,
        operation: `${kind} ${activation}`,
        conditions: { [kind]: true, [activation]: true },
        constants: {},
        args: {},
      };
    }
    case "qkv": {
      const { heads, kvHeads, headDim, rope, cache = "f32" } = epilogue;
      const halves = cache === "f16";
      return {
        name: `qkv${heads}_${kvHeads}_${headDim}${rope ? "_rope" : ""}${halves ? "_f16cache" : ""}`,
        operation: rope ? "qkv rope" : "qkv",
        conditions: { qkv: true, rope, vec4_heads: headDim % 4 === 0, ...(halves && { f16_cache: true }) },
        constants: { DH: `${headDim}u`, Q: `${heads * headDim}u`, KV: `${kvHeads * headDim}u` },
        args: { head_dim: headDim, q_width: heads * headDim, kv_width: kvHeads * headDim },
      };
    }
  }
}
