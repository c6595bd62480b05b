/** Stages as links hold them. */
import { type Scope, setStage, settings } from "./bundles.ts";

export interface SharedStage {
  readonly id: string;
  readonly on: boolean;
  readonly strength: number;
  readonly alpha: number | null;
  readonly scope: Scope;
  /** Edges that differ from the bundle, by their index. */
  readonly edges: readonly (readonly [index: number, value: number])[];
}

/** As the sliders are now. */
export function stagesNow(): readonly SharedStage[] {
  return settings.value.map(({ id, on, strength, alpha, scope, edges, manifest }) => {
    const made = manifest.kind === "edge_mask" ? (manifest.edges ?? []) : [];
    const moved = edges.flatMap(({ value }, i) => (value === made[i]?.[2] ? [] : [[i, value] as const]));
    return { id, on, strength, alpha, scope, edges: moved };
  });
}

/** Sets the sliders; stages that are not named are switched off. */
export function setStages(stages: readonly SharedStage[]): void {
  for (const { id, edges, manifest } of settings.value) {
    const shared = stages.find((each) => each.id === id);
    if (!shared) {
      setStage(id, { on: false });
      continue;
    }
    const { on, strength, alpha, scope } = shared;
    const made = manifest.kind === "edge_mask" ? (manifest.edges ?? []) : [];
    const moved = new Map(shared.edges);
    setStage(id, {
      ...{ on, strength, alpha, scope },
      edges: edges.map((edge, i) => ({ ...edge, value: moved.get(i) ?? made[i]?.[2] ?? edge.value })),
    });
  }
}
