/**
 * The structures of the stage table, field by field as the shaders in shaders/stages and shaders/norm declare them: the
 * lint (scripts/shader-lint/stage-layout.ts) compares the two. Every field is a 32-bit word; a structure fills whole vec4s.
 */

/** Types of the fields of each structure, in order. The shader says what they mean. */
export const stageLayout = {
  /** A stage of whole rows in a group: stages/affine.wgsl. */
  Entry: {
    stage: "u32",
    gate: "u32",
    reads: "u32",
    adds: "u32",
    v: "u32",
    u: "u32",
    b: "u32",
    c: "u32",
    lo: "f32",
    hi: "f32",
    products: "u32",
  },
  /** A stage of single elements at a site: stages/neuron_scale.wgsl. */
  Scaling: { stage: "u32", scale: "u32", shift: "u32", more: "u32" },
  /** Stages of whole rows that share a reduction, or one stage of single elements: norm/edited.wgsl. */
  RowGroup: { form: "u32", entries: "u32", count: "u32", reads: "u32" },
  ElementGroup: { form: "u32", stage: "u32", scale: "u32", shift: "u32" },
  /** A destination of an edge mask, and a source that it reads: stages/edge_mask.wgsl. */
  Variant: { form: "u32", terms: "u32", terms_at: "u32", kappa: "u32", fixed_at: "u32", cut: "u32", e_slot: "u32" },
  Term: { slot: "u32", edge: "u32" },
  /** The record of an edge mask's stage. */
  Mask: { strength: "f32", values: "u32", kappa: "u32" },
  /** An instruction that says where a stage acts, in the scope buffer: stages/records.wgsl. */
  Instruction: { operation: "u32", list: "u32", length: "u32" },
  /** A head that is a source: stages/head_sources.wgsl, linear/head_sums.wgsl. */
  Head: { head: "u32", slot: "u32" },
} as const satisfies Readonly<Record<string, Readonly<Record<string, "u32" | "f32">>>>;

/** Values of a field that is one of several words, by number: `GATE_RELU` is 1. */
export const stageCodes = {
  GATE: ["identity", "relu", "clamp"],
  ADDS: ["nothing", "bias"],
  GROUP: ["elements", "row"],
  FORM: ["plain", "cut", "kept"],
  SCOPE: ["at", "tokens", "or", "not"],
} as const satisfies Readonly<Record<string, readonly string[]>>;

type Layout = typeof stageLayout;
type Codes = typeof stageCodes;

const fieldsOf = Object.fromEntries(
  Object.entries(stageLayout).map(([name, fields]) => [name, Object.entries(fields)]),
) as unknown as Readonly<Record<keyof Layout, readonly (readonly [field: string, type: "u32" | "f32"])[]>>;

/** The words of a structure, floats by their bits, filled up to whole vec4s. */
export function packed<Name extends keyof Layout>(
  name: Name,
  fields: Readonly<Record<keyof Layout[Name], number>>,
): number[] {
  const words: number[] = [];
  for (const [field, type] of fieldsOf[name]) {
    const value = fields[field as keyof Layout[Name]];
    words.push(type === "f32" ? bits(value) : value);
  }
  while (words.length % 4 !== 0) words.push(0);
  return words;
}

/** The number of a word. */
export function codeOf<Name extends keyof Codes>(name: Name, word: Codes[Name][number]): number {
  return (stageCodes[name] as readonly string[]).indexOf(word);
}

/** A float32 as the integer of the same bits. */
function bits(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0] as number;
}
