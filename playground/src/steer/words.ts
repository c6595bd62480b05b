/** What a stage does, and how far, in words. */
import type { StageManifest } from "sluice";
import type { StageSetting } from "../state/bundles.ts";
import type { ShelfBundle } from "../state/shelf.ts";

/** What the two ends of a stage's direction are called. */
export interface Concept {
  readonly towards: string | null;
  readonly away: string | null;
}

/** From the shelf, or from the names of the files that the bundle was fitted to. */
export function conceptOf(shelf: ShelfBundle | null, fit: Readonly<Record<string, unknown>> | undefined): Concept {
  if (shelf) return { towards: shelf.towards ?? null, away: shelf.away ?? null };
  const sources = (fit?.sources ?? fit) as Readonly<Record<string, unknown>> | undefined;
  return { towards: named(sources?.positive), away: named(sources?.negative) };
}

/** `test/data/plays.jsonl` → `plays`. */
function named(source: unknown): string | null {
  const path = typeof source === "string" ? source : (source as { readonly file?: unknown } | null | undefined)?.file;
  if (typeof path !== "string") return null;
  return path.replace(/^.*[\\/]/, "").replace(/\.\w+$/, "") || null;
}

/** Such as "Moves layer 2 towards plays". */
export function stageWords(stage: StageManifest, { towards, away }: Concept): string {
  if (stage.kind === "edge_mask") {
    const count = stage.edges?.length ?? 0;
    return count > 0 ? `Cuts edges between blocks: ${count} can be cut` : "Cuts edges between blocks";
  }
  const where = layersIn(stage.layers);
  if (stage.kind === "neuron_scale") {
    return `Turns ${site(stage.site)} of ${where} up or down${away ? `, away from ${away}` : towards ? `, towards ${towards}` : ""}`;
  }
  switch (stage.method) {
    case "ace":
      return `Moves ${where} towards ${towards ?? "its concept"}`;
    case "addition":
      return `Pushes ${where} towards ${towards ?? "its direction"}`;
    case "directional_ablation":
      return `Removes ${towards ?? "a direction"} from ${where}`;
    default:
      return `Erases ${towards ?? "a subspace"} from ${where}`;
  }
}

function layersIn(layers: unknown): string {
  if (!Array.isArray(layers)) return "every layer";
  if (layers.length === 1) return `layer ${layers[0]}`;
  const isRun = layers.every((layer, i) => i === 0 || layer === layers[i - 1] + 1);
  return isRun ? `layers ${layers[0]} to ${layers.at(-1)}` : `layers ${layers.join(", ")}`;
}

function site(name: string): string {
  return name.startsWith("mlp") || name === "up" || name === "gate_pre"
    ? "neurons"
    : `${name.replaceAll("_", " ")} values`;
}

/** How strongly a stage acts. */
export function strengthWords(strength: number): string {
  if (strength === 0) return "off";
  if (strength < 0) return "reversed";
  if (strength < 0.45) return "a little";
  if (strength < 0.95) return "in part";
  if (strength <= 1.05) return "as made";
  return strength <= 2 ? "stronger" : "far beyond";
}

/** Where alpha puts the coordinate along the direction. */
export function alphaWords({ manifest }: StageSetting, alpha: number, { towards, away }: Concept): string {
  if (manifest.kind === "affine" && manifest.method === "addition") return strengthWords(alpha);
  const [near, far] = [away ?? "the other class", towards ?? "the concept"];
  if (alpha < -0.05) return `beyond ${near}`;
  if (alpha <= 0.05) return `at ${near}`;
  if (alpha < 0.95) return `between ${near} and ${far}`;
  if (alpha <= 1.05) return `at ${far}`;
  return `beyond ${far}`;
}
