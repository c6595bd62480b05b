/** Draws edges and nodes of the diagram. When, and onto what, is the painter's to say (painter.ts). */
import type { Edge, Graph, Node } from "./graph.ts";
import { curveOf, pointOn, type View } from "./view.ts";

export interface Palette {
  readonly ink: string;
  readonly soft: string;
  readonly card: string;
  readonly helps: string;
  readonly harms: string;
  readonly cut: string;
}

export interface Picture {
  readonly graph: Graph;
  /** Those to draw, the most important first. */
  readonly edges: readonly Edge[];
  /** Mask indices. */
  readonly cut: ReadonlySet<number>;
  /** Attribution of an edge as a share of the largest, with its sign. */
  readonly share: (edge: Edge) => number;
  readonly view: View;
  readonly palette: Palette;
  /** Pixels of the screen per unit of CSS. */
  readonly ratio: number;
}

/** Lets the context draw in units of the diagram. */
export function place(context: CanvasRenderingContext2D, { view, ratio }: Pick<Picture, "view" | "ratio">): void {
  context.setTransform(view.scale * ratio, 0, 0, view.scale * ratio, view.x * ratio, view.y * ratio);
}

export function drawEdge(
  context: CanvasRenderingContext2D,
  edge: Edge,
  { cut, share, view, palette, edges }: Picture,
  isHovered = false,
): void {
  const isCut = cut.has(edge.index);
  const value = share(edge);
  const size = Math.abs(value);
  // Lines keep their width on the screen whatever the zoom; the more there are, the fainter each.
  const thin = 1 / view.scale;
  context.lineWidth = thin * (isHovered ? 4 : isCut ? 2.4 : 0.9 + 4.5 * Math.sqrt(size));
  context.strokeStyle = isHovered
    ? palette.ink
    : isCut
      ? palette.cut
      : value === 0
        ? palette.soft
        : value > 0
          ? palette.helps
          : palette.harms;
  const crowd = Math.min(1, 250 / edges.length);
  context.globalAlpha = isHovered
    ? 1
    : isCut
      ? 0.9
      : Math.min(1, (0.28 + 0.72 * Math.sqrt(size)) * (0.25 + 0.75 * crowd));
  // A second channel beside the colour: cut edges and those that harm are broken lines.
  context.setLineDash(isCut ? [3 * thin, 5 * thin] : value < 0 ? [9 * thin, 4 * thin] : []);
  const [x0, y0, x1, y1, x2, y2, x3, y3] = curveOf(edge);
  context.beginPath();
  context.moveTo(x0, y0);
  context.bezierCurveTo(x1, y1, x2, y2, x3, y3);
  context.stroke();
  context.setLineDash([]);
  if (isCut) drawCross(context, edge, thin);
  context.globalAlpha = 1;
}

function drawCross(context: CanvasRenderingContext2D, edge: Edge, thin: number): void {
  const [x, y] = pointOn(edge, 0.5);
  const arm = 6 * thin;
  context.beginPath();
  context.moveTo(x - arm, y - arm);
  context.lineTo(x + arm, y + arm);
  context.moveTo(x + arm, y - arm);
  context.lineTo(x - arm, y + arm);
  context.stroke();
}

/** @param isEnd of the edge that is pointed at */
export function drawNode(
  context: CanvasRenderingContext2D,
  node: Node,
  { palette, view }: Picture,
  font: string,
  isEnd: boolean,
): void {
  const [w, h] = node.kind === "head" ? [26, 24] : node.kind === "input" ? [28, 20] : [56, 30];
  context.beginPath();
  context.roundRect(node.x - w / 2, node.y - h / 2, w, h, node.kind === "head" ? 12 : 6);
  context.fillStyle = isEnd ? palette.ink : palette.card;
  context.fill();
  context.lineWidth = 1.5;
  context.strokeStyle = isEnd ? palette.ink : palette.soft;
  context.stroke();
  if (view.scale < 0.32) return;
  context.fillStyle = isEnd ? palette.card : palette.ink;
  context.font = `600 ${node.kind === "input" ? 10 : 12}px ${font}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(node.label, node.x, node.y + 0.5);
}

/** Colours of the page as it is now. */
export function paletteOf(element: Element): Palette {
  const probe = document.createElement("span");
  element.append(probe);
  const colour = (name: string): string => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const palette = {
    ink: colour("--ink"),
    soft: colour("--line-strong"),
    card: colour("--card"),
    helps: colour("--plain"),
    harms: colour("--edited"),
    cut: colour("--bad"),
  };
  probe.remove();
  return palette;
}
