/**
 * What a kind of stage is to the rest of the engine: which sites and tensors it has, how its manifest is checked, what it
 * lowers to and how it is described. A kind is a record of this shape (`kinds.ts` lists them); nothing else tells them
 * apart.
 */
import type { LayerSiteKind } from "../../graph/site.ts";
import { show } from "../../show.ts";
import { checkPositions } from "../check-positions.ts";
import { isInteger, type ManifestFields } from "../manifest-fields.ts";

/** A tensor that a stage has per layer. */
export interface TensorSpec {
  /** `[width]`, `[r, width]` or `[r]`, with the site's width and the rank that the first `[r, width]` has. */
  readonly shape: "row" | "rows" | "rank";
  readonly optional?: true;
  /** Not all zeros: it is divided by its length. */
  readonly nonzero?: true;
}

/** What is done to the coordinates y = h·Vᵀ − c before they are taken away: y, max(y, 0), or y − clamp(y, lo, hi). */
export type Gate = "identity" | "relu" | { readonly clamp: readonly [lo: number, hi: number] };

/** Vectors of a ← a + s·((scale − 1)⊙a + shift); absent: ones, zeros. */
export interface LoweredElements {
  readonly scale?: Float32Array;
  readonly shift?: Float32Array;
}

/** Vectors of h ← h + s·(b − g(h·Vᵀ − c)·U), in float64. */
export interface LoweredRow {
  /** Rows of V and U, `[r]` of `[width]` each; none if nothing is taken away. */
  readonly v: readonly Float64Array[];
  readonly u: readonly Float64Array[];
  /** `[r]` */
  readonly c: Float64Array;
  /** `[width]`: what is added, times alpha if the stage has one. */
  readonly b: Float64Array | undefined;
}

/** A stage that edits each element alone, in the epilogue of the kernel that makes the site. */
export interface ElementForm<Stage, Values> {
  readonly form: "elements";
  lower(stage: Stage, values: Values): LoweredElements;
}

/** A stage that needs the whole row, in the kernel that owns it. */
export interface RowForm<Stage, Values> {
  readonly form: "row";
  gate(stage: Stage): Gate;
  /** How many coordinates of the row it reads. */
  rank(stage: Stage, values: Values, width: number): number;
  /** Whether something is added, and whether alpha multiplies it. */
  adds(stage: Stage, values: Values): "nothing" | "bias" | "alpha";
  lower(stage: Stage, values: Values, width: number): LoweredRow;
}

/** A kind of stage that acts at sites. `Own`: what its stages have besides id, site, layers, positions and tensors. */
export interface SiteStageKind<Stage, Manifest, Own, Values> {
  /** Where it can act. */
  readonly sites: readonly LayerSiteKind[];
  /** Checks a manifest's fields for their types. @throws `bad_bundle` */
  check(manifest: ManifestFields): void;
  /** Of all tensors that some stage of this kind has. */
  readonly tensorNames: readonly string[];
  /** What a stage has per layer, in the order in which it is read; if all are optional, one must be there. */
  tensors(stage: Stage | Manifest): Readonly<Record<string, TensorSpec>>;
  /** What a stage has of its own. @param alpha in place of the manifest's */
  own(manifest: Manifest, alpha: number | undefined): Own;
  /** The way back: what its manifest has of its own. */
  fields(stage: Stage): object;
  /** Whether it has an alpha that acts. */
  hasAlpha(stage: Stage | Manifest): boolean;
  /** Its kind or method, for people. */
  name(stage: Stage | Manifest): string;
  /** What it does; follows the name. */
  says(stage: Stage): string;
  /** Its settings besides the strength, each after a comma. */
  settings(stage: Stage): string;
  /** A layer's tensors in words. */
  describe(stage: Stage, values: Values, width: number): string;
  readonly lowering: ElementForm<Stage, Values> | RowForm<Stage, Values>;
}

/**
 * Checks what every stage at sites has: site, layers and positions, and that there are no fields but those and `own`.
 * @throws `bad_bundle`
 */
export function checkAtSites(
  manifest: ManifestFields,
  kind: string,
  sites: readonly string[],
  own: readonly string[] = [],
): void {
  manifest.only(["id", "kind", ...own, "site", "layers", "positions", "strength"]);
  const site = manifest.raw("site");
  if (!sites.some((candidate) => candidate === site)) {
    throw manifest.refuse(
      "site",
      `is ${show(site)}, which is not a site for a stage of kind ${kind}`,
      `It can act at ${sites.join(", ")}.`,
    );
  }
  if (manifest.has("layers")) checkLayers(manifest);
  if (!manifest.has("positions")) return;
  checkPositions(manifest.raw("positions"), (field, problem, hint) => manifest.refuse(field, problem, hint));
}

function checkLayers(manifest: ManifestFields): void {
  const layers = manifest.raw("layers");
  if (layers === "all") return;
  if (!Array.isArray(layers) || !layers.every((layer) => isInteger(layer, 0))) {
    throw manifest.refuse("layers", `is ${show(layers)}, neither "all" nor a list of layer numbers`);
  }
  if (layers.length === 0) throw manifest.refuse("layers", "is empty: the stage would touch nothing");
  const seen = new Set<unknown>();
  for (const layer of layers as unknown[]) {
    if (seen.has(layer)) throw manifest.refuse("layers", `lists layer ${show(layer)} twice`);
    seen.add(layer);
  }
}
