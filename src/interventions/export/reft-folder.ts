/** Interventions of pyreft: a folder of config.json and a state dict per place, LoReFT or a bias. */
import { type StateTensor, writeStateDict } from "../../formats/torch/write-state-dict.ts";
import { dot } from "../../numbers/dot.ts";
import { affine } from "../kinds/affine.ts";
import type { LoweredRow } from "../kinds/stage-kind.ts";
import type { Positions } from "../positions.ts";
import type { ModelShape } from "../sites.ts";
import type { AffineSite, AffineStage } from "../stage.ts";
import { bytesOf, type ExportFormat, kindName, scaledDirection, warnOfScale } from "./export-format.ts";

/** pyvene's names of a block's parts. */
const COMPONENTS: Readonly<Partial<Record<AffineSite, string>>> = {
  resid_pre: "block_input",
  resid_post: "block_output",
  attn_out: "attention_output",
  mlp_out: "mlp_output",
};

const LOREFT = "<class 'pyreft.interventions.LoreftIntervention'>";
/** The original pyreft has none. */
const BIAS = "<class 'easysteer.reft.pyreft.reft.algorithms.bias.BiasIntervention'>";

/** How far the rotation's rows may be from orthonormal, and a bias from what they span. */
const ORTHONORMAL = 1e-4;
const IN_SPAN = 1e-6;

/** Entries of a representation that pyvene writes and nothing here fills. */
const UNUSED = 9;

export const reftFolder: ExportFormat = {
  obstacle(stage, config) {
    if (stage.kind !== "affine") return `is of the kind ${kindName(stage)}, and the format edits the stream`;
    if (COMPONENTS[stage.site] === undefined) return `acts at ${stage.site}, which pyvene has no name for`;
    if (stage.method === "addition") return null;
    if (stage.gate !== "identity") return "has a gate, and LoReFT has none";
    for (const layer of stage.layers) {
      const row = lowered(stage, layer, config);
      if (!isOrthonormal(row.u)) {
        return `takes away along directions in layer ${layer} that are not orthonormal, and LoReFT's are`;
      }
      if (row.b && !isSpanned(row.b, row.u)) {
        return `adds in layer ${layer} what lies outside its directions, and LoReFT stays within them`;
      }
    }
    return null;
  },
  write({ stages, config, warn }) {
    const files = new Map<string, Uint8Array>();
    const types: string[] = [];
    const representations: unknown[] = [];
    const seen = new Map<string, number>();
    for (const stage of stages as readonly AffineStage[]) {
      warnOfPositions(stage, warn);
      const isBias = stage.method === "addition";
      if (isBias) {
        warnOfScale(stage, warn);
        warn(
          `stage "${stage.id}" is written as a BiasIntervention, which EasySteer's pyreft has and the original has not`,
        );
      }
      for (const layer of stage.layers) {
        const component = COMPONENTS[stage.site] as string;
        const place = `layer_${layer}_comp_${component}_unit_pos_nunit_1`;
        const number = seen.get(place) ?? 0;
        seen.set(place, number + 1);
        const dict = isBias ? biasOf(stage, layer) : loreftOf(stage, layer, config);
        files.set(`intkey_${place}#${number}.bin`, writeStateDict(dict));
        types.push(isBias ? BIAS : LOREFT);
        const rank = isBias ? null : (dict.get("weight")?.shape[0] ?? 0);
        representations.push([layer, component, "pos", 1, rank, ...new Array<null>(UNUSED).fill(null)]);
      }
    }
    const about = {
      intervention_constant_sources: types.map(() => true),
      intervention_dimensions: types.map(() => config.hidden_size),
      intervention_types: types,
      mode: "parallel",
      representations,
      sorted_keys: [...files.keys()].map((name) => name.replace(/^intkey_|\.bin$/g, "")),
    };
    return new Map([["config.json", bytesOf(`${JSON.stringify(about, null, 2)}\n`)], ...files]);
  },
};

function lowered(stage: AffineStage, layer: number, { hidden_size: width }: ModelShape): LoweredRow {
  if (affine.lowering.form !== "row") throw new Error("affine stages edit rows");
  return affine.lowering.lower(stage, stage.values.get(layer) ?? {}, width);
}

function biasOf(stage: AffineStage, layer: number): ReadonlyMap<string, StateTensor> {
  const values = Float32Array.from(scaledDirection(stage, layer));
  return new Map([["bias", { shape: [values.length], values }]]);
}

/**
 * h + (W·h + b − R·h)·Rᵀ, which is the stage with R = U, W = U − s·V and b = s·(c + bias·Uᵀ). W is float64: in float32 its
 * rounding would come back as that of V.
 */
function loreftOf(stage: AffineStage, layer: number, config: ModelShape): ReadonlyMap<string, StateTensor> {
  const { v, u, c, b } = lowered(stage, layer, config);
  const { strength } = stage;
  const [rank, width] = [u.length, config.hidden_size];
  const weight = new Float64Array(rank * width);
  const rotation = new Float32Array(width * rank);
  const bias = new Float64Array(rank);
  u.forEach((row, r) => {
    const own = v[r] as Float64Array;
    row.forEach((value, i) => {
      weight[r * width + i] = value - strength * (own[i] as number);
      rotation[i * rank + r] = value;
    });
    const added = b ? dot(b, row) * (affine.hasAlpha(stage) ? stage.alpha : 1) : 0;
    bias[r] = strength * ((c[r] as number) + added);
  });
  return new Map<string, StateTensor>([
    ["weight", { shape: [rank, width], values: weight }],
    ["bias", { shape: [rank], values: bias }],
    ["rotate_layer", { shape: [width, rank], values: rotation }],
  ]);
}

function isOrthonormal(rows: readonly Float64Array[]): boolean {
  return rows.every((row, i) => rows.every((other, j) => Math.abs(dot(row, other) - (i === j ? 1 : 0)) <= ORTHONORMAL));
}

function isSpanned(vector: Float64Array, rows: readonly Float64Array[]): boolean {
  const rest = vector.slice();
  for (const row of rows) {
    const along = dot(vector, row);
    row.forEach((value, i) => (rest[i] = (rest[i] as number) - along * value));
  }
  return Math.sqrt(dot(rest, rest)) <= IN_SPAN * Math.sqrt(dot(vector, vector));
}

function warnOfPositions({ id, positions }: AffineStage, warn: (text: string) => void): void {
  const isFirstAndLast = (given: Positions): boolean => JSON.stringify(given) === "[0,-1]";
  if (isFirstAndLast(positions)) return;
  const where = JSON.stringify(positions);
  warn(
    `stage "${id}": pyreft does not save at which positions it acts (${where.slice(0, 80)}); sluice reads such files as f1+l1`,
  );
}
