/** A linear kernel's name, shader, bindings and args, from its design and shape. */
import type { Kernel } from "../kernel.ts";
import { linearCost } from "./cost.ts";
import {
  headGroups,
  type LinearEpilogue,
  type LinearShape,
  linearLists,
  linearOutputWidth4,
  linearTaps,
} from "./shape.ts";

/** What distinguishes one kernel design; the rest follows from the shape. */
export interface Design {
  readonly design: string;
  readonly entry: string;
  readonly summation: string;
  /** `split`: leaves the sums of parts of K behind; `merge`: adds those up. Absent: the whole layer. */
  readonly half?: "split" | "merge";
  readonly conditions: Readonly<Record<string, boolean>>;
  readonly constants: Readonly<Record<string, string>>;
  workgroups(rows: number): readonly [number, number, number];
}

export function describe(whole: LinearShape, design: Design): Kernel {
  const shape = design.half ? halfOf(whole, design.half) : whole;
  const { K, N, strips, dtype, epilogue, bias, outs = false, maxRows } = shape;
  const { sourced = false, grouped = false, stacked = false, heads } = shape;
  const edits = editsOf(shape);
  const taps = linearTaps(epilogue.kind).filter((tap) => shape.taps.includes(tap));
  const k4 = Math.ceil(K / 4);
  // The first half is the same for every epilogue, unless heads read variants; the second for every way to store weights.
  const follows = design.half !== "split";
  const reads = design.half !== "merge";
  const words = [
    `linear_${design.design}${reads ? `_${dtype}` : ""}_${K}x${N}${strips === Math.ceil(N / 4) ? "" : `_part${strips}`}`,
    follows || grouped ? epilogueName(epilogue) : "",
    bias ? "bias" : "",
    outs ? "outs" : "",
    edits.length > 0 ? `edits_${edits.join("_")}${stacked ? "_stacked" : ""}` : "",
    sourced ? "sourced" : "",
    heads ? `heads${heads.count}${heads.bias ? "_shared_bias" : ""}` : "",
    grouped && design.entry !== "linear/grouped" ? "grouped" : "",
    taps.length > 0 ? `tap_${taps.join("_")}` : "",
    `of${maxRows}`,
  ];
  return {
    name: words.filter((word) => word !== "").join("_"),
    shader: {
      entry: design.entry,
      conditions: {
        ...design.conditions,
        ...(follows && epilogueConditions(epilogue)),
        ...(design.half === "split" && { split: true }),
        ...(reads && { [dtype]: true }),
        bias,
        outs,
        ...(edits.length > 0 && { staged: true, stacked }),
        ...Object.fromEntries(edits.map((name) => [`edits_${name}`, true])),
        ...(sourced && { sourced }),
        ...(heads && { heads: true, head_bias: heads.bias }),
        ...(grouped && { grouped }),
        ...Object.fromEntries(taps.map((tap) => [`tap_${tap}`, true])),
      },
      constants: {
        MAX_ROWS: `${maxRows}u`,
        K4: `${k4}u`,
        STRIPS: `${strips}u`,
        OUT4: `${linearOutputWidth4(shape)}u`,
        ...((follows || grouped) && epilogueConstants(epilogue)),
        HEAD_GROUPS: `${headGroups(shape)}u`,
        ...(heads && { HEAD_DIM: `${heads.head_dim}u`, HEADS: `${heads.count}u` }),
        GROUPS4: `${Math.ceil(headGroups(shape) / 4)}u`,
        ...design.constants,
      },
    },
    summation: design.summation,
    workgroups: (rows) => design.workgroups(rows),
    cost: ({ rows }) => linearCost(shape, rows),
  };
}

/** What one half of a split layer does of it. */
function halfOf(shape: LinearShape, half: "split" | "merge"): LinearShape {
  if (half === "merge") return { ...shape, grouped: false };
  return { ...shape, bias: false, taps: [], edits: [], stacked: false, sourced: false };
}

/** The edited values in the order of the kernel's args. */
function editsOf({ epilogue, edits = [] }: LinearShape): readonly string[] {
  return linearLists(epilogue.kind).filter((name) => edits.includes(name));
}

function epilogueName(epilogue: LinearEpilogue): string {
  switch (epilogue.kind) {
    case "activation":
      return epilogue.activation;
    case "gated":
      return `gated_${epilogue.activation}`;
    case "qkv":
      return `qkv${epilogue.heads}_${epilogue.kvHeads}_${epilogue.headDim}${epilogue.rope ? "_rope" : ""}`;
    default:
      return epilogue.kind;
  }
}

function epilogueConditions(epilogue: LinearEpilogue): Record<string, boolean> {
  switch (epilogue.kind) {
    case "activation":
    case "gated":
      return { [epilogue.kind]: true, [epilogue.activation]: true };
    case "qkv":
      return { qkv: true, rope: epilogue.rope, vec4_heads: epilogue.headDim % 4 === 0 };
    default:
      return { [epilogue.kind]: true };
  }
}

function epilogueConstants(epilogue: LinearEpilogue): Record<string, string> {
  if (epilogue.kind !== "qkv") return {};
  const { heads, kvHeads, headDim } = epilogue;
  return { DH: `${headDim}u`, Q: `${heads * headDim}u`, KV: `${kvHeads * headDim}u` };
}
