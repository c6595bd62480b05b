/** Bundles that are open, and what the sliders say of their stages. */
import { computed, signal } from "@preact/signals";
import type { Bundle, ComposeSettings, PrefixedBundle, StageChange, StageManifest } from "sluice";
import { engine } from "../engine.ts";
import { type Failure, failureOf } from "./failure.ts";
import { model } from "./model.ts";
import type { ShelfBundle } from "./shelf.ts";

/** Where a bundle came from, for links. */
export type Origin =
  | { readonly kind: "shelf"; readonly id: string }
  | { readonly kind: "link"; readonly address: string }
  | { readonly kind: "server"; readonly name: string }
  | { readonly kind: "file" };

export interface OpenBundle {
  /** What acts in this page; null of a server, which has it. */
  readonly bundle: Bundle | null;
  readonly manifest: Pick<Bundle["manifest"], "name" | "stages" | "fit">;
  readonly bytes: Uint8Array;
  /** Of a server: a name of its own. */
  readonly sha256: string;
  readonly title: string;
  readonly origin: Origin;
  /** Put before its stages' ids if another bundle has the same. */
  readonly prefix: string | null;
  /** What the shelf knows of it. */
  readonly shelf: ShelfBundle | null;
}

/** Which tokens a stage acts on; `made`: as its bundle says. */
export type Scope = "made" | "all" | "prompt" | "generated" | "last_prompt_onward";

/** An edge of a mask: from 0 (cut) to 1. */
export interface EdgeValue {
  readonly source: string;
  readonly destination: string;
  readonly value: number;
}

export interface StageSetting {
  /** Id in the composition. */
  readonly id: string;
  readonly manifest: StageManifest;
  readonly on: boolean;
  readonly strength: number;
  /** Absent for stages that have none. */
  readonly alpha: number | null;
  readonly scope: Scope;
  readonly edges: readonly EdgeValue[];
}

export const bundles = signal<readonly OpenBundle[]>([]);
export const settings = signal<readonly StageSetting[]>([]);
export const bundleFailure = signal<Failure | null>(null);
export const hasStages = computed(() => settings.value.length > 0);

type Listener = (id: string, change: StageChange) => void;
let listener: Listener | null = null;

/** Reports every change of a stage to whoever runs, as soon as it is made. */
export function whenStagesChange(tell: Listener | null): void {
  listener = tell;
}

/** Adds a bundle. @returns whether it could be read */
export async function addBundle(
  bytes: Uint8Array,
  title: string,
  origin: Origin,
  shelf: ShelfBundle | null = null,
): Promise<boolean> {
  try {
    const bundle = await (await engine()).readBundle(bytes.slice(), title);
    const sha256 = await digest(bytes);
    if (bundles.value.some((open) => open.sha256 === sha256)) return true;
    const { manifest } = bundle;
    const prefix = prefixFor(manifest.stages);
    // Refused now, in words, and not when it is to act.
    const tried = await model.value?.with([...bundleInputs(), prefix === null ? { bundle } : { bundle, prefix }]);
    tried?.dispose();
    keep({ bundle, manifest, bytes, sha256, title, origin, prefix, shelf });
    return true;
  } catch (error) {
    bundleFailure.value = failureOf(error, title);
    return false;
  }
}

/** Adds a bundle that a server has. */
export function addServerBundle(name: string, manifest: OpenBundle["manifest"]): void {
  const sha256 = `server:${name}`;
  if (bundles.value.some((open) => open.sha256 === sha256)) return;
  const known = { bundle: null, bytes: new Uint8Array(), title: name, shelf: null };
  keep({ ...known, manifest, sha256, origin: { kind: "server", name }, prefix: prefixFor(manifest.stages) });
}

function keep(open: OpenBundle): void {
  bundles.value = [...bundles.value, open];
  settings.value = [...settings.value, ...open.manifest.stages.map((stage) => initial(stage, open.prefix))];
  bundleFailure.value = null;
}

/** Null unless another bundle has a stage of the same id. */
function prefixFor(stages: readonly StageManifest[]): string | null {
  const taken = new Set(settings.value.map(({ id }) => id));
  return stages.some(({ id }) => taken.has(id)) ? `b${bundles.value.length + 1}` : null;
}

export function removeBundle(sha256: string): void {
  const index = bundles.value.findIndex((open) => open.sha256 === sha256);
  if (index < 0) return;
  const before = bundles.value.slice(0, index).reduce((sum, { manifest }) => sum + manifest.stages.length, 0);
  const count = bundles.value[index]?.manifest.stages.length ?? 0;
  settings.value = settings.value.filter((_, i) => i < before || i >= before + count);
  bundles.value = bundles.value.filter((_, i) => i !== index);
}

export function clearBundles(): void {
  bundles.value = [];
  settings.value = [];
  bundleFailure.value = null;
}

/** Stages of a bundle, as they are set. */
export function settingsOf(open: OpenBundle): readonly StageSetting[] {
  const ids = new Set(open.manifest.stages.map(({ id }) => idOf(id, open.prefix)));
  return settings.value.filter(({ id }) => ids.has(id));
}

export function setStage(id: string, change: Partial<Omit<StageSetting, "id" | "manifest">>): void {
  settings.value = settings.value.map((stage) => (stage.id === id ? { ...stage, ...change } : stage));
  const stage = settings.value.find((each) => each.id === id);
  if (stage) listener?.(id, withoutEdges(changeOf(stage)));
}

export function setEdge(id: string, source: string, destination: string, value: number): void {
  const stage = settings.value.find((each) => each.id === id);
  if (!stage) return;
  const edges = stage.edges.map((edge) =>
    edge.source === source && edge.destination === destination ? { ...edge, value } : edge,
  );
  settings.value = settings.value.map((each) => (each === stage ? { ...stage, edges } : each));
  listener?.(id, { edges: [[source, destination, value]] });
}

/** As the bundle was made. */
export function resetStage(id: string): void {
  const stage = settings.value.find((each) => each.id === id);
  if (!stage) return;
  const made = { ...initial(stage.manifest, null), id };
  settings.value = settings.value.map((each) => (each === stage ? made : each));
  listener?.(id, changeOf(made));
}

/** The change that puts a stage of a session in the state that is set here. */
export function changeOf({ on, strength, alpha, scope, manifest, edges }: StageSetting): StageChange {
  const made = (manifest as { readonly positions?: StageChange["positions"] }).positions ?? "all";
  return {
    strength: on ? strength : 0,
    ...(alpha !== null && { alpha }),
    ...(manifest.kind !== "edge_mask" && { positions: scope === "made" ? made : scope }),
    ...(edges.length > 0 && {
      edges: edges.map(({ source, destination, value }) => [source, destination, value] as const),
    }),
  };
}

function withoutEdges({ edges: _, ...change }: StageChange): StageChange {
  return change;
}

/** The bundles as `model.with` takes them. */
export function bundleInputs(): readonly PrefixedBundle[] {
  return bundles.value.flatMap(({ bundle, prefix }) => {
    if (bundle === null) return [];
    return [prefix === null ? { bundle } : { bundle, prefix }];
  });
}

/** The settings as `model.with` takes them; edges are set in the session. */
export function composeSettings(): ComposeSettings {
  const stages = settings.value;
  return {
    strengths: new Map(stages.map(({ id, on, strength }) => [id, on ? strength : 0])),
    params: new Map(stages.flatMap(({ id, alpha }) => (alpha === null ? [] : [[id, { alpha }] as const]))),
    positions: new Map(
      stages.flatMap((stage) => {
        const { positions } = changeOf(stage);
        return positions === undefined ? [] : [[stage.id, positions] as const];
      }),
    ),
  };
}

function initial(manifest: StageManifest, prefix: string | null): StageSetting {
  const { alpha = 1 } = manifest as { readonly alpha?: number };
  return {
    id: idOf(manifest.id, prefix),
    manifest,
    on: true,
    strength: manifest.strength ?? 1,
    alpha: manifest.kind === "affine" && ["ace", "addition"].includes(manifest.method) ? alpha : null,
    scope: "made",
    edges:
      manifest.kind === "edge_mask"
        ? (manifest.edges ?? []).map(([source, destination, value]) => ({ source, destination, value }))
        : [],
  };
}

function idOf(id: string, prefix: string | null): string {
  return prefix === null ? id : `${prefix}/${id}`;
}

async function digest(bytes: Uint8Array): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", bytes as BufferSource);
  return [...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
