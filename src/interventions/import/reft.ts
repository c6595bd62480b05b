/** Interventions of pyreft: LoReFT, DiReFT and biases, a folder with config.json and a file per intervention. */
import { type StoredTensor, storeFloat32 } from "../../formats/safetensors.ts";
import type { StridedArray } from "../../formats/strided.ts";
import { arrayIn } from "../../formats/torch/globals.ts";
import type { PickleValue } from "../../formats/torch/pickle.ts";
import { dot } from "../../numbers/dot.ts";
import { textIn } from "../../show.ts";
import type { AffineManifest } from "../manifest.ts";
import type { AffineSite } from "../stage.ts";
import { layerTensorName } from "../tensor-names.ts";
import type { ForeignFile } from "./foreign-file.ts";
import { type ForeignKind, type Given, layerOf, unfit } from "./foreign-kind.ts";
import { rowOf } from "./vectors.ts";

/** pyvene's names of a block's parts. */
const COMPONENTS: ReadonlyMap<string, AffineSite> = new Map<string, AffineSite>([
  ["block_input", "resid_pre"],
  ["block_output", "resid_post"],
  ["attention_output", "attn_out"],
  ["mlp_output", "mlp_out"],
]);

/** pyreft's first and last token of the prompt, `f1+l1`: it does not save which tokens were trained. */
const FIRST_AND_LAST = [0, -1];

const FILE = /^intkey_layer[_.](\d+)[_.]comp[_.](\w+?)[_.]unit[_.]/;

export const reft: ForeignKind = {
  name: "pyreft",
  takes: [],
  matches: ({ files }) => files.some(({ base }) => FILE.test(base)),
  read(given) {
    const tensors = new Map<string, StoredTensor>();
    const files = given.files.filter(({ base }) => FILE.test(base));
    const stages = files.map((file) => stageOf(given, file, tensors));
    given.warn(
      `${given.name}: pyreft does not save which tokens were trained; the first and last of the prompt are edited (f1+l1). Others are set when the bundle is used: --positions ID=…`,
    );
    return { stages, tensors };
  },
};

function stageOf(given: Given, file: ForeignFile, tensors: Map<string, StoredTensor>): AffineManifest {
  const [, number = "", component = ""] = FILE.exec(file.base) ?? [];
  const site = COMPONENTS.get(component);
  if (!site) throw unfit(given, file.base, `edits ${component.slice(0, 40)}, where no such stage can act`);
  const layer = layerOf(given, Number(number), file.base);
  const { value } = file;
  if (!(value instanceof Map)) throw unfit(given, file.base, "is not a state dict");
  const part = (name: string): StridedArray | null => arrayIn(value.get(name) as PickleValue | undefined);
  const common = { kind: "affine", site, layers: [layer], positions: FIRST_AND_LAST } as const;
  const put = (id: string, name: string, values: Float64Array, shape: readonly number[]): void => {
    tensors.set(layerTensorName(id, layer, name), storeFloat32(Float32Array.from(values), shape));
  };
  const rotation = rotationOf(given, file, part);
  if (!rotation) {
    const [only, ...others] = [...value.values()].flatMap((each) => arrayIn(each as PickleValue) ?? []);
    if (!only || others.length > 0) throw unfit(given, file.base, "is neither LoReFT, DiReFT nor a bias");
    const id = `bias_${site}_${layer}`;
    put(id, "direction", rowOf(given, only, file.base), [given.config.hidden_size]);
    return { ...common, id, method: "addition" };
  }
  const kind = typeOf(given, file);
  const [weight, bias] = [part("weight") ?? part("learned_source.weight"), part("bias") ?? part("learned_source.bias")];
  const width = given.config.hidden_size;
  const rank = rotation.shape[1] ?? 0;
  const fits =
    rotation.shape.length === 2 &&
    rotation.shape[0] === width &&
    weight?.shape[0] === rank &&
    weight.shape[1] === width;
  if (!fits || (bias && bias.count !== rank)) {
    const shapes = [rotation, weight].map((each) => `[${each?.shape.join(", ") ?? "none"}]`).join(" and ");
    throw unfit(
      given,
      file.base,
      `has the shapes ${shapes}, but the model's stream is ${width} wide`,
      "It was made for another model.",
    );
  }
  const id = `${kind}_${site}_${layer}`;
  const r = rotation.values;
  const w = weight.values();
  const u = Float64Array.from(
    { length: rank * width },
    (_, i) => r[(i % width) * rank + Math.floor(i / width)] as number,
  );
  // LoReFT: h + (W·h + b − Rᵀ·h)·Rᵀ; DiReFT lacks the term of R.
  put(
    id,
    "v",
    u.map((value, i) => (kind === "loreft" ? value : 0) - (w[i] as number)),
    [rank, width],
  );
  put(id, "u", u, [rank, width]);
  if (bias) put(id, "c", bias.values(), [rank]);
  return { ...common, id, method: "low_rank" };
}

interface Rotation {
  readonly shape: readonly number[];
  /** `[d, r]`, row-major. */
  readonly values: Float64Array;
}

/** R, `[d, r]`, which LoReFT's files have as it is, and others as the parts that PyTorch makes it of. */
function rotationOf(given: Given, file: ForeignFile, part: (name: string) => StridedArray | null): Rotation | null {
  const whole = part("rotate_layer") ?? part("rotate_layer.weight");
  if (whole) return { shape: whole.shape, values: whole.values() };
  const original = part("rotate_layer.parametrizations.weight.original");
  if (!original) return null;
  const base = part("rotate_layer.parametrizations.weight.0.base");
  const [d = 0, rank = 0] = original.shape;
  if (original.shape.length !== 2 || rank >= d || (base && (base.shape[0] !== d || base.shape[1] !== d))) {
    throw unfit(
      given,
      file.base,
      `has a rotation of shape [${original.shape.join(", ")}] in parts that are not PyTorch's`,
      "Save the rotation itself, as LoReFT does: rotate_layer.weight.data.",
    );
  }
  const values = reflected(original.values(), base?.values() ?? identity(d), rank);
  return { shape: [d, rank], values };
}

/**
 * PyTorch's orthogonal parametrization, by Householder reflections: B·(H₀·…·H_{r−1})[:, :r]·diag(X), with
 * H_i = I − 2·v_i·v_iᵀ/(1 + ‖a_i‖²), where a_i is column i of X below its diagonal and v_i the same with a 1 there.
 */
function reflected(x: Float64Array, base: Float64Array, rank: number): Float64Array {
  const d = x.length / rank;
  const product = base.slice();
  for (let i = 0; i < rank; i++) {
    const v = Float64Array.from({ length: d }, (_, row) =>
      row < i ? 0 : row === i ? 1 : (x[row * rank + i] as number),
    );
    const twice = 2 / v.reduce((sum, value) => sum + value * value, 0);
    for (let row = 0; row < d; row++) {
      const own = product.subarray(row * d, (row + 1) * d);
      const along = twice * dot(own, v);
      v.forEach((value, j) => (own[j] = (own[j] as number) - along * value));
    }
  }
  return Float64Array.from({ length: d * rank }, (_, at) => {
    const column = at % rank;
    return (product[Math.floor(at / rank) * d + column] as number) * Math.trunc(x[column * rank + column] as number);
  });
}

function identity(size: number): Float64Array {
  return Float64Array.from({ length: size * size }, (_, i) => (i % (size + 1) === 0 ? 1 : 0));
}

/** By the class that config.json names for the intervention. */
function typeOf(given: Given, file: ForeignFile): "loreft" | "direft" {
  const config = given.files.find(({ base }) => base === "config.json")?.json;
  const { intervention_types: types, sorted_keys: keys } = (config ?? {}) as Readonly<Record<string, unknown>>;
  const key = file.base.replace(/^intkey_/, "").replace(/\.bin$/, "");
  const index = Array.isArray(keys) ? keys.indexOf(key) : -1;
  const list = Array.isArray(types) ? types : [];
  const type = textIn(list[index < 0 ? 0 : index] ?? "");
  if (/\.?LoreftIntervention\b/.test(type)) return "loreft";
  if (/\.?DireftIntervention\b/.test(type)) return "direft";
  throw unfit(
    given,
    file.base,
    `is of the type ${type.slice(0, 80) || "that config.json does not name"}; LoreftIntervention and DireftIntervention are read`,
    "Give the whole folder that pyreft saved.",
  );
}
