/** The sites of a model by name: ours, and TransformerLens' if both mean the same values. The dictionary is data. */
import { entry as door } from "../arguments/entry.ts";
import { SluiceError } from "../errors.ts";
import { type SiteKind, siteForm } from "../graph/site.ts";
import { modelShape } from "./arguments.ts";
import { type SiteStageName, siteStageNames, stageKinds } from "./kinds/kinds.ts";
import dictionary from "./site-names.json" with { type: "json" };
import type { ModelShape } from "./sites.ts";

/** One kind of site of a model. */
export interface SiteInfo {
  /** As captures take it, with `LAYER` in place of a layer's number: `resid_post.LAYER`, `final_norm`. */
  readonly name: string;
  /** How many layers have it; null for a site outside the layers. */
  readonly layers: number | null;
  /** Values per token; null for `attn_pattern`, which has a value per head and pair of tokens. */
  readonly width: number | null;
  /** Kinds of stages that can act there; none at a site that can only be captured. */
  readonly stages: readonly SiteStageName[];
  /** TransformerLens' name of the same values, which captures take too; null if it has none. */
  readonly transformer_lens: string | null;
  /** What it is, in a few words. */
  readonly about: string;
}

interface Entry {
  readonly site: SiteKind;
  readonly width: "hidden_size" | "intermediate_size" | "heads" | "kv_heads" | "pattern";
  /** Only models with such an MLP have it. */
  readonly mlp?: "plain" | "gated";
  readonly about: string;
  readonly transformer_lens: string;
  /** When TransformerLens' values are the same; absent: always. */
  readonly equal_if?: "no_learned_positions" | "never";
  /** What to say if they are not. */
  readonly otherwise?: string;
}

const entries = dictionary as readonly Entry[];

export const listSitesDoor = door("listSites", ["config", modelShape]);

/** All sites of a model, in the order in which a forward pass reaches them. */
export function listSites(config: ModelShape): readonly SiteInfo[] {
  const [shape] = listSitesDoor.read(config);
  return entriesOf(shape).map((entry) => {
    const { site: kind } = entry;
    const name = siteForm(kind);
    return {
      name,
      layers: name.endsWith("LAYER") ? shape.num_hidden_layers : null,
      width: widthOf(entry, shape),
      stages: siteStageNames.filter((name) => stageKinds[name].sites.some((site) => site === kind)),
      transformer_lens: isSame(entry, shape) ? entry.transformer_lens : null,
      about: entry.about,
    };
  });
}

/** Width of a site's rows, or null if the model has no such site or it has no rows. */
export function siteWidth(config: ModelShape, kind: SiteKind): number | null {
  const entry = entriesOf(config).find((candidate) => candidate.site === kind);
  return entry ? widthOf(entry, config) : null;
}

/**
 * Our name of a site that is named in either way: `resid_post.3` for `blocks.3.hook_resid_post`. A name that is in
 * neither form is returned as it is, for the caller to refuse.
 * @throws SluiceError `usage` for a name of TransformerLens whose values differ from those of the nearest site
 */
export function ourSiteName(config: ModelShape, name: string): string {
  for (const entry of entriesOf(config)) {
    const layer = layerIn(entry.transformer_lens, name);
    if (layer === undefined) continue;
    refuseOther(entry, config, name, layer);
    return siteForm(entry.site).replace("LAYER", layer);
  }
  return name;
}

/**
 * Our name of a kind of site, for options that name the layers apart: `resid_post` for `hook_resid_post`, `attn_z` for
 * `attn.hook_z`. Otherwise like {@link ourSiteName}.
 */
export function ourSiteKind(config: ModelShape, name: string): string {
  for (const entry of entriesOf(config)) {
    const { transformer_lens: full } = entry;
    if (name !== full && name !== full.replace("blocks.LAYER.", "")) continue;
    refuseOther(entry, config, name, "LAYER");
    return entry.site;
  }
  return name;
}

function entriesOf({ mlp }: ModelShape): readonly Entry[] {
  return entries.filter((entry) => entry.mlp === undefined || entry.mlp === mlp);
}

function widthOf({ width }: Entry, config: ModelShape): number | null {
  switch (width) {
    case "heads":
      return config.num_attention_heads * config.head_dim;
    case "kv_heads":
      return config.num_key_value_heads * config.head_dim;
    case "pattern":
      return null;
    default:
      return config[width];
  }
}

/** Whether TransformerLens' values under its name are the ones we have. */
function isSame({ equal_if }: Entry, { learned_positions }: ModelShape): boolean {
  return equal_if === undefined || (equal_if === "no_learned_positions" && !learned_positions);
}

function refuseOther(entry: Entry, config: ModelShape, name: string, layer: string): void {
  if (isSame(entry, config)) return;
  throw new SluiceError(
    "usage",
    `${name} of TransformerLens and ${siteForm(entry.site).replace("LAYER", layer)} differ here`,
    {
      hint: `${entry.otherwise?.replace("LAYER", layer)}.`,
    },
  );
}

/** The layer in a name of this form, as it is written; empty for one without layers, undefined for another form. */
function layerIn(form: string, name: string): string | undefined {
  const [before = "", after] = form.split("LAYER");
  if (after === undefined) return name === form ? "" : undefined;
  if (!name.startsWith(before) || !name.endsWith(after)) return undefined;
  const layer = name.slice(before.length, name.length - after.length);
  return /^\d{1,9}$/.test(layer) ? layer : undefined;
}
