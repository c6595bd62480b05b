/**
 * Sites: the named places of a model where values can be captured and stages can act. Inside the engine a site is a
 * value: `siteName` prints it, and `interventions/site-names.ts` reads the names that callers give.
 */

/** Kinds of sites that every layer has, in the order of a forward pass; a model may lack some of the MLP's. */
export const layerSiteKinds = [
  "resid_pre",
  "attn_norm",
  "attn_q",
  "attn_k",
  "attn_v",
  "attn_pattern",
  "attn_z",
  "attn_out",
  "resid_mid",
  "mlp_norm",
  "mlp_pre",
  "gate_pre",
  "up",
  "mlp_post",
  "mlp_out",
  "resid_post",
] as const;
/** Kinds of sites before the first and after the last layer. */
export const endSiteKinds = ["embed", "final_norm"] as const;

export type LayerSiteKind = (typeof layerSiteKinds)[number];
export type EndSiteKind = (typeof endSiteKinds)[number];
export type SiteKind = LayerSiteKind | EndSiteKind;

/** What each kind is, its width and its name elsewhere: interventions/site-names.json. Layers count from 0. */
export type Site =
  | { readonly kind: LayerSiteKind; readonly layer: number }
  | { readonly kind: EndSiteKind; readonly layer: null };

/** `resid_post.3`, `final_norm`. */
export function siteName({ kind, layer }: Site): string {
  return layer === null ? kind : `${kind}.${layer}`;
}

/** Names of a kind of site, with LAYER for the layer's number: `resid_post.LAYER`, `final_norm`. */
export function siteForm(kind: SiteKind): string {
  return endSiteKinds.some((end) => end === kind) ? kind : `${kind}.LAYER`;
}

export function isSameSite(a: Site, b: Site): boolean {
  return a.kind === b.kind && a.layer === b.layer;
}

/** Whether a site is on the residual stream itself. */
export function isStream({ kind }: Site): boolean {
  return kind === "resid_pre" || kind === "resid_mid" || kind === "resid_post";
}
