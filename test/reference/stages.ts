/** What `neuron_scale` and `affine` do to one row, term by term as the specification writes them. */

import type { PositionRange, Positions } from "../../src/interventions/positions.ts";
import type { AffineStage, Gate, NeuronScaleStage, Stage } from "../../src/interventions/stage.ts";
import { addScaled, dot, type Rows } from "./rows.ts";

/** The tokens of a run, and how many of them are the prompt's. */
export interface Roles {
  readonly tokens: readonly number[];
  /** P */
  readonly promptLength: number;
}

/** The rows of a site after all stages that stand there, in order; row t is the token at position t. */
export function applyStages(
  stages: readonly Stage[],
  site: string,
  layer: number,
  roles: Roles,
  rows: Rows,
): Float64Array[] {
  return rows.map((row, position) => {
    let edited = row;
    for (const stage of stages) {
      if (stage.kind === "edge_mask" || stage.site !== site || !stage.layers.includes(layer)) continue;
      if (!covers(stage.positions, position, roles)) continue;
      edited = stage.kind === "affine" ? affine(stage, layer, edited) : neuronScale(stage, layer, edited);
    }
    return edited;
  });
}

export function covers(positions: Positions, position: number, roles: Roles): boolean {
  const { tokens, promptLength } = roles;
  if (positions === "all") return true;
  if (positions === "prompt") return position < promptLength;
  if (positions === "generated") return position >= promptLength;
  if (positions === "last_prompt_onward") return position >= promptLength - 1;
  const counted = (place: number): number => (place < 0 ? promptLength + place : place);
  if (Array.isArray(positions)) return positions.some((place) => counted(place) === position);
  if ("tokens" in positions) return positions.tokens.includes(tokens[position] as number);
  if ("any" in positions) return positions.any.some((each) => covers(each, position, roles));
  if ("not" in positions) return !covers(positions.not, position, roles);
  const { from, to = Infinity } = positions as PositionRange;
  return position >= counted(from) && position < (to === "P" ? promptLength : counted(to));
}

/** a + s·((scale − 1)⊙a + shift), written so that a small scale does not vanish beside 1. */
function neuronScale(stage: NeuronScaleStage, layer: number, a: Float64Array): Float64Array {
  const values = stage.values.get(layer);
  const s = stage.strength;
  return a.map((value, i) => {
    const scale = values?.scale?.[i];
    return (scale === undefined ? value : (1 - s) * value + s * scale * value) + s * (values?.shift?.[i] ?? 0);
  });
}

/** h + s·(b − g(h·Vᵀ − c)·U) */
function affine(stage: AffineStage, layer: number, h: Float64Array): Float64Array {
  const { v, u, c, b } = lower(stage, layer, h.length);
  const change = b.slice();
  for (const [i, offset] of c.entries()) {
    const row = u.subarray(i * h.length, (i + 1) * h.length);
    addScaled(change, -gate(stage.gate, dot(h, 0, v, i * h.length, h.length) - offset), row);
  }
  return h.map((value, i) => value + stage.strength * (change[i] as number));
}

function gate(gate: Gate, y: number): number {
  if (gate === "identity") return y;
  if (gate === "relu") return Math.max(y, 0);
  const [lo, hi] = gate.clamp;
  return y - Math.min(Math.max(y, lo), hi);
}

interface Lowered {
  /** `[r, d]` */
  readonly v: Float64Array;
  readonly u: Float64Array;
  /** `[r]` */
  readonly c: Float64Array;
  /** `[d]` */
  readonly b: Float64Array;
}

/** The table of methods. */
function lower(stage: AffineStage, layer: number, d: number): Lowered {
  const values = stage.values.get(layer) ?? {};
  const none = new Float64Array(0);
  if (stage.method === "low_rank") {
    const v = wide(values.v);
    const c = values.c ? wide(values.c) : new Float64Array(v.length / d);
    return { v, u: wide(values.u), c, b: values.bias ? wide(values.bias) : new Float64Array(d) };
  }
  const r = wide(values.direction);
  const pushed = r.map((value) => stage.alpha * value);
  if (stage.method === "addition") return { v: none, u: none, c: none, b: pushed };
  const length = Math.sqrt(dot(r, 0, r, 0, d));
  const unit = r.map((value) => value / length);
  if (stage.method === "directional_ablation") {
    return { v: unit, u: unit, c: new Float64Array(1), b: new Float64Array(d) };
  }
  return { v: unit, u: unit, c: Float64Array.of(dot(unit, 0, wide(values.reference), 0, d)), b: pushed };
}

function wide(values: Float32Array | undefined): Float64Array {
  if (!values) throw new Error("The stage lacks a tensor that its method needs");
  return Float64Array.from(values);
}
