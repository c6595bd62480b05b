/** The circuit that is looked at: which edges are cut, what each is worth, what is shown. */
import { computed, signal } from "@preact/signals";
import { settings } from "../state/bundles.ts";
import { model, shape } from "../state/model.ts";
import { type Edge, graphOf } from "./graph.ts";
import { type Filter, filtered } from "./view.ts";

export const graph = computed(() => (shape.value ? graphOf(shape.value) : null));

/** Mask indices of the edges that are cut. */
export const cut = signal<ReadonlySet<number>>(new Set());
/** −∂loss/∂m per mask index, in nats: what the gradient says that an edge is worth. */
export const attribution = signal<Float32Array | null>(null);
export const hovered = signal<Edge | null>(null);
export const filter = signal<Filter>({
  most: null,
  fromLayer: 0,
  toLayer: Number.POSITIVE_INFINITY,
  text: "",
  onlyCut: false,
});

const largest = computed(() => attribution.value?.reduce((most, value) => Math.max(most, Math.abs(value)), 0) ?? 0);

/** Attribution of an edge as a share of the largest, with its sign; 0 if it is not known. */
export function shareOf({ index }: Edge): number {
  const most = largest.value;
  return most > 0 ? (attribution.value?.[index] ?? 0) / most : 0;
}

/** More edges than this cannot be told apart on a screen. */
const LEGIBLE = 400;

/** Of a circuit with thousands of edges the largest are shown first; the filter brings the others back. */
export function showAttribution(values: Float32Array): void {
  attribution.value = values;
  const count = graph.value?.edges.length ?? 0;
  if (filter.value.most === null && count > 4 * LEGIBLE) filter.value = { ...filter.value, most: LEGIBLE };
}

export const shownEdges = computed(() => {
  if (!graph.value) return [];
  const values = attribution.value;
  return filtered(graph.value, filter.value, cut.value, ({ index }) => Math.abs(values?.[index] ?? 0));
});

export const cutEdges = computed(() => graph.value?.edges.filter(({ index }) => cut.value.has(index)) ?? []);

export function toggle(edge: Edge): void {
  const next = new Set(cut.value);
  if (!next.delete(edge.index)) next.add(edge.index);
  cut.value = next;
}

export function restoreAll(): void {
  cut.value = new Set();
}

/** Forgets the circuit of another model, and takes over the edges that open bundles cut. */
export function startCircuit(): void {
  attribution.value = null;
  hovered.value = null;
  filter.value = { most: null, fromLayer: 0, toLayer: Number.POSITIVE_INFINITY, text: "", onlyCut: false };
  const byName = new Map(graph.value?.edges.map((edge) => [edge.name, edge.index]));
  const masked = settings.value.flatMap(({ on, edges }) => (on ? edges.filter(({ value }) => value < 1) : []));
  cut.value = new Set(masked.flatMap(({ source, destination }) => byName.get(`${source} → ${destination}`) ?? []));
}

let last: { readonly model: unknown; readonly masks: string } = { model: null, masks: "" };

/** Starts again if another model is open, or if open bundles cut other edges than before. */
export function followPage(): void {
  const cutBy = settings.value.flatMap(({ id, on, edges }) =>
    on ? edges.filter(({ value }) => value < 1).map(({ source, destination }) => `${id} ${source} ${destination}`) : [],
  );
  const now = { model: model.value, masks: cutBy.join() };
  if (last.model === now.model && last.masks === now.masks) return;
  last = now;
  startCircuit();
}
