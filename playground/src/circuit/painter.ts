/**
 * Keeps the diagram on its canvas without keeping the page waiting. Edges are drawn onto a sheet of their own, some per
 * frame; what is on screen is the last finished sheet, moved and zoomed to the present view, with the nodes and the edge
 * that is pointed at on top. So a pointer that moves costs one edge, whatever the number of edges.
 */
import { drawEdge, drawNode, type Picture, place } from "./draw.ts";
import type { Edge } from "./graph.ts";

interface Sheet {
  readonly canvas: HTMLCanvasElement;
  readonly picture: Picture;
}

/** Edges of the first frame; then as many as frames of this device bear. */
const FIRST_BATCH = 150;
const MOST_BATCH = 1500;
/** Milliseconds between frames: below the first there is time to spare, above the second the page would be felt to wait. */
const [EASY, HARD] = [22, 36] as const;
/** Milliseconds without a move after which edges are drawn for the new view. */
const REST = 120;

export interface Painter {
  /** Shows this picture: at once what is known of it, after some frames the whole. */
  show(picture: Picture, hovered: Edge | null): void;
  stop(): void;
}

export function createPainter(canvas: HTMLCanvasElement): Painter {
  let done: Sheet | null = null;
  let coming: Sheet | null = null;
  let frame = 0;
  let timer = 0;
  let batch = FIRST_BATCH;
  let shown: { readonly picture: Picture; readonly hovered: Edge | null } | null = null;

  const compose = () => {
    const context = canvas.getContext("2d");
    if (!context || !shown) return;
    const { picture, hovered } = shown;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    const sheet = done?.picture.graph === picture.graph ? done : coming;
    if (sheet) drawSheet(context, sheet, picture);
    place(context, picture);
    if (hovered) drawEdge(context, hovered, picture, true);
    const font = getComputedStyle(canvas).fontFamily;
    for (const node of picture.graph.nodes) {
      drawNode(context, node, picture, font, hovered?.source === node || hovered?.destination === node);
    }
  };

  const stop = () => {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
    coming = null;
  };

  const begin = (picture: Picture) => {
    stop();
    const sheet = { canvas: document.createElement("canvas"), picture };
    sheet.canvas.width = canvas.width;
    sheet.canvas.height = canvas.height;
    const context = sheet.canvas.getContext("2d");
    if (!context) return;
    coming = sheet;
    place(context, picture);
    // The least important first, so that the others lie on top of them.
    let left = picture.edges.length;
    let before = 0;
    const step = (now: number) => {
      if (before > 0) {
        if (now - before < EASY) batch = Math.min(MOST_BATCH, batch * 2);
        else if (now - before > HARD) batch = Math.max(FIRST_BATCH / 2, Math.floor(batch / 2));
      }
      before = now;
      const end = Math.max(0, left - batch);
      for (const edge of picture.edges.slice(end, left).reverse()) drawEdge(context, edge, picture);
      left = end;
      if (left > 0) frame = requestAnimationFrame(step);
      else [done, coming] = [sheet, null];
      if (left === 0 || done?.picture.graph !== picture.graph) compose();
    };
    frame = requestAnimationFrame(step);
  };

  return {
    show(picture, hovered) {
      const before = shown?.picture;
      shown = { picture, hovered };
      const width = Math.round(canvas.clientWidth * picture.ratio);
      const height = Math.round(canvas.clientHeight * picture.ratio);
      const isResized = canvas.width !== width || canvas.height !== height;
      if (isResized) {
        canvas.width = width;
        canvas.height = height;
      }
      if (!before || !sameEdges(before, picture)) begin(picture);
      else if (isResized || !sameView(before, picture)) {
        clearTimeout(timer);
        timer = window.setTimeout(() => begin(picture), REST);
      }
      compose();
    },
    stop,
  };
}

/** The sheet as it looks from the present view: sharp if it was drawn for it. */
function drawSheet(context: CanvasRenderingContext2D, { canvas, picture: { view: then, ratio } }: Sheet, now: Picture) {
  const zoom = now.view.scale / then.scale;
  const factor = (zoom * now.ratio) / ratio;
  const x = (now.view.x - then.x * zoom) * now.ratio;
  const y = (now.view.y - then.y * zoom) * now.ratio;
  context.drawImage(canvas, x, y, canvas.width * factor, canvas.height * factor);
}

function sameEdges(a: Picture, b: Picture): boolean {
  return a.edges === b.edges && a.cut === b.cut && a.palette === b.palette && a.ratio === b.ratio;
}

function sameView({ view: a }: Picture, { view: b }: Picture): boolean {
  return a.scale === b.scale && a.x === b.x && a.y === b.y;
}
