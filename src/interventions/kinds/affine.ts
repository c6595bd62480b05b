/** `affine`: h ← h + s·(b − g(h·Vᵀ − c)·U) at a site of the stream or of what is added to it, by several methods. */
import { show } from "../../show.ts";
import { isFloat32, type ManifestFields } from "../manifest-fields.ts";
import type { Positions } from "../positions.ts";
import { type AffineSite, type AffineStage, affineSites } from "../stage.ts";
import {
  type AffineMethod,
  type AffineMethodName,
  type AffineValues,
  affineMethodNames,
  affineMethods,
} from "./affine-methods.ts";
import type { Layers } from "./neuron-scale.ts";
import { checkAtSites, type Gate, type SiteStageKind } from "./stage-kind.ts";

/** An `affine` stage in a manifest. */
export interface AffineManifest {
  /** Unique in the bundle; tensors are named `ID.LAYER.NAME`. */
  readonly id: string;
  /** Tells the kinds of stages apart. */
  readonly kind: "affine";
  /** Which tensors it has and what they mean. */
  readonly method: AffineMethodName;
  /** Where it acts. */
  readonly site: AffineSite;
  /** Layers it acts in. */
  readonly layers?: Layers;
  /** Tokens it acts on; default: all. */
  readonly positions?: Positions;
  /** g, of the methods that take something away; default `identity`. */
  readonly gate?: Gate;
  /** α, of the methods that have one; default 1. */
  readonly alpha?: number;
  /** s; default 1. */
  readonly strength?: number;
}

type Own = Pick<AffineStage, "kind" | "method" | "gate" | "alpha">;

export const affine: SiteStageKind<AffineStage, AffineManifest, Own, AffineValues> = {
  sites: affineSites,
  check(manifest) {
    checkAtSites(manifest, "affine", affineSites, ["method", "gate", "alpha"]);
    const method = manifest.word("method", affineMethodNames);
    if (manifest.has("alpha")) manifest.number("alpha");
    if (!manifest.has("gate")) return;
    if (!methodOf({ method }).gates) {
      throw manifest.refuse("gate", `has no meaning for ${method}`, "Gates act on what the other methods take away.");
    }
    checkGate(manifest);
  },
  tensorNames: [...new Set(affineMethodNames.flatMap((method) => Object.keys(affineMethods[method].tensors)))],
  tensors: (stage) => methodOf(stage).tensors,
  own({ kind, method, gate = "identity", alpha: ownAlpha = 1 }, alpha = ownAlpha) {
    return { kind, method, gate, alpha };
  },
  fields(stage) {
    const { method, gate, alpha } = stage;
    return { method, ...(methodOf(stage).gates && { gate }), ...(methodOf(stage).alpha && { alpha }) };
  },
  hasAlpha: (stage) => methodOf(stage).alpha,
  name: ({ method }) => method,
  says: (stage) => methodOf(stage).says,
  settings(stage) {
    return `${methodOf(stage).alpha ? `, alpha ${stage.alpha}` : ""}${describeGate(stage.gate)}`;
  },
  describe: (stage, values, width) => methodOf(stage).describe(values, width).join(", "),
  lowering: {
    form: "row",
    gate: ({ gate }) => gate,
    rank: (stage, values, width) => methodOf(stage).rank(values, width),
    adds(stage, values) {
      if (!methodOf(stage).adds(values)) return "nothing";
      return methodOf(stage).alpha ? "alpha" : "bias";
    },
    lower: (stage, values, width) => methodOf(stage).lower(values, width),
  },
};

function methodOf({ method }: { readonly method: AffineMethodName }): AffineMethod {
  return affineMethods[method];
}

function checkGate(manifest: ManifestFields): void {
  const gate = manifest.raw("gate");
  if (gate === "identity" || gate === "relu") return;
  if (typeof gate !== "object") {
    throw manifest.refuse(
      "gate",
      `is ${show(gate)}, which is unknown`,
      'Known are identity, relu and {"clamp": [lo, hi]}.',
    );
  }
  const object = manifest.object("gate");
  object.only(["clamp"]);
  const bounds = object.list("clamp");
  if (bounds.length !== 2 || !bounds.every(isFloat32)) {
    throw object.refuse("clamp", `is ${show(bounds)}, not two finite numbers [lo, hi]`);
  }
  const [lo, hi] = bounds as [number, number];
  if (lo > hi) throw object.refuse("clamp", `is ${show(bounds)}: lo is above hi`);
}

function describeGate(gate: Gate): string {
  if (gate === "identity") return "";
  return gate === "relu" ? ", only if it is above its threshold" : `, only outside [${gate.clamp.join(", ")}]`;
}
