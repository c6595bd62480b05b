/** What of the diagram is shown, and where: zoom, filters, the edge under the pointer. */
import type { Edge, Graph } from "./graph.ts";

/** Screen = diagram · scale + offset. */
export interface View {
  readonly scale: number;
  readonly x: number;
  readonly y: number;
}

export interface Filter {
  /** Only that many edges, those of the largest attribution, and what is cut; all if null. */
  readonly most: number | null;
  readonly fromLayer: number;
  readonly toLayer: number;
  readonly text: string;
  readonly onlyCut: boolean;
}

/** The whole diagram, in the middle of a canvas. */
export function fitted({ width, height }: Graph, canvasWidth: number, canvasHeight: number): View {
  const margin = 24;
  const scale = Math.min((canvasWidth - margin) / width, (canvasHeight - margin) / height, 2);
  return { scale, x: (canvasWidth - width * scale) / 2, y: (canvasHeight - height * scale) / 2 };
}

/** Zooms by a factor, and keeps the point (x, y) of the screen where it is. */
export function zoomed({ scale, x, y }: View, factor: number, atX: number, atY: number): View {
  const next = Math.min(12, Math.max(0.05, scale * factor));
  const by = next / scale;
  return { scale: next, x: atX - (atX - x) * by, y: atY - (atY - y) * by };
}

/** The edges that pass a filter, the largest first. */
export function filtered(
  { edges }: Graph,
  filter: Filter,
  cut: ReadonlySet<number>,
  size: (edge: Edge) => number,
): readonly Edge[] {
  const words = filter.text.trim().toLowerCase();
  const passing = edges.filter(({ index, name, source, destination }) => {
    if (filter.onlyCut && !cut.has(index)) return false;
    // Embedding and logits belong to every choice of layers.
    if (destination.kind !== "logits" && destination.layer > filter.toLayer) return false;
    if (source.kind !== "embed" && source.layer < filter.fromLayer) return false;
    return words === "" || name.toLowerCase().includes(words);
  });
  const sorted = passing.sort((a, b) => size(b) - size(a) || a.index - b.index);
  // However small, an edge that is cut stays in sight.
  const { most } = filter;
  return most === null ? sorted : sorted.filter(({ index }, place) => place < most || cut.has(index));
}

/** How far the control points of an edge over `span` units lie above its ends. */
export function liftOf(span: number): number {
  return Math.min(160, 0.16 * Math.max(0, span - 130));
}

/** The control points of an edge's cubic curve. Edges over several columns bend away from the blocks that they pass. */
export function curveOf({
  source,
  destination,
}: Edge): readonly [number, number, number, number, number, number, number, number] {
  const span = destination.x - source.x;
  const bend = Math.max(24, span * 0.42);
  const lift = -liftOf(span);
  const [y0, y3] = [source.y, destination.y];
  return [source.x, y0, source.x + bend, y0 + lift, destination.x - bend, y3 + lift, destination.x, y3];
}

/** A point of an edge's curve, t from 0 to 1. */
export function pointOn(edge: Edge, t: number): readonly [x: number, y: number] {
  const [x0, y0, x1, y1, x2, y2, x3, y3] = curveOf(edge);
  const u = 1 - t;
  const [a, b, c, d] = [u * u * u, 3 * u * u * t, 3 * u * t * t, t * t * t];
  return [a * x0 + b * x1 + c * x2 + d * x3, a * y0 + b * y1 + c * y2 + d * y3];
}

const SAMPLES = 12;
const REACH = 9;

/** The edge that is nearest to a point of the screen, if one is near. */
export function edgeAt(edges: readonly Edge[], { scale, x, y }: View, atX: number, atY: number): Edge | null {
  let best: Edge | null = null;
  let least = REACH * REACH;
  const [diagramX, diagramY, reach] = [(atX - x) / scale, (atY - y) / scale, REACH / scale];
  for (const edge of edges) {
    if (!mayPass(edge, diagramX, diagramY, reach)) continue;
    let [fromX, fromY] = [edge.source.x * scale + x, edge.source.y * scale + y];
    for (let i = 1; i <= SAMPLES; i++) {
      const [px, py] = pointOn(edge, i / SAMPLES);
      const [toX, toY] = [px * scale + x, py * scale + y];
      const distance = distanceToSegment(atX, atY, fromX, fromY, toX, toY);
      if (distance < least) [least, best] = [distance, edge];
      [fromX, fromY] = [toX, toY];
    }
  }
  return best;
}

/** False for most of the edges that a point is far from: their curves lie between their control points. */
function mayPass(edge: Edge, x: number, y: number, reach: number): boolean {
  const [x0, y0, x1, y1, x2, y2, x3, y3] = curveOf(edge);
  return (
    x >= Math.min(x0, x2) - reach &&
    x <= Math.max(x1, x3) + reach &&
    y >= Math.min(y0, y1, y2, y3) - reach &&
    y <= Math.max(y0, y3) + reach
  );
}

/** Squared. */
function distanceToSegment(x: number, y: number, ax: number, ay: number, bx: number, by: number): number {
  const [dx, dy] = [bx - ax, by - ay];
  const length = dx * dx + dy * dy || 1;
  const t = Math.max(0, Math.min(1, ((x - ax) * dx + (y - ay) * dy) / length));
  return (x - ax - t * dx) ** 2 + (y - ay - t * dy) ** 2;
}
