/** The diagram: point at an edge to read it, click to cut or restore it, drag to move, wheel or keys to zoom. */
import { useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { type Palette, paletteOf } from "./draw.ts";
import type { Edge } from "./graph.ts";
import { createPainter, type Painter } from "./painter.ts";
import { attribution, cut, cutEdges, graph, hovered, shareOf, shownEdges, toggle } from "./state.ts";
import { edgeAt, fitted, type View, zoomed } from "./view.ts";

interface Size {
  readonly width: number;
  readonly height: number;
}

export function CircuitCanvas() {
  const canvas = useRef<HTMLCanvasElement>(null);
  const size = useSignal<Size>({ width: 0, height: 0 });
  const view = useSignal<View | null>(null);
  const palette = useSignal<Palette | null>(null);
  const drag = useRef<{ x: number; y: number; moved: boolean } | null>(null);
  const painter = useRef<Painter | null>(null);

  useEffect(() => {
    const element = canvas.current;
    if (!element) return;
    painter.current = createPainter(element);
    const observer = new ResizeObserver(() => {
      size.value = { width: element.clientWidth, height: element.clientHeight };
    });
    observer.observe(element);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const repaint = () => {
      palette.value = paletteOf(element.parentElement ?? element);
    };
    repaint();
    dark.addEventListener("change", repaint);
    const themes = new MutationObserver(repaint);
    themes.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    return () => {
      observer.disconnect();
      themes.disconnect();
      dark.removeEventListener("change", repaint);
      painter.current?.stop();
    };
  }, [size, palette]);

  const viewNow = (): View | null => {
    const { width, height } = size.value;
    if (!graph.value || width === 0) return null;
    return view.value ?? fitted(graph.value, width, height);
  };

  useSignalEffect(() => {
    const [shown, now, colours] = [graph.value, viewNow(), palette.value];
    const [edges, cuts, pointedAt] = [shownEdges.value, cut.value, hovered.value];
    if (!shown || !now || !colours) return;
    const ratio = Math.min(2, devicePixelRatio);
    painter.current?.show(
      { graph: shown, edges, cut: cuts, share: shareOf, view: now, palette: colours, ratio },
      pointedAt,
    );
  });

  const at = (event: MouseEvent): readonly [number, number] => {
    const box = (canvas.current as HTMLCanvasElement).getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const find = (event: MouseEvent): Edge | null => {
    const now = viewNow();
    return now && edgeAt(shownEdges.value, now, ...at(event));
  };
  const zoom = (factor: number, x = size.value.width / 2, y = size.value.height / 2) => {
    const now = viewNow();
    if (now) view.value = zoomed(now, factor, x, y);
  };
  const key = (event: KeyboardEvent) => {
    const edges = shownEdges.value;
    const place = hovered.value ? edges.indexOf(hovered.value) : -1;
    const step = (by: number) => {
      hovered.value = edges[(Math.max(place, by > 0 ? -1 : 0) + by + edges.length) % edges.length] ?? null;
    };
    const actions: Readonly<Record<string, () => void>> = {
      ArrowRight: () => step(1),
      ArrowDown: () => step(1),
      ArrowLeft: () => step(-1),
      ArrowUp: () => step(-1),
      Enter: () => hovered.value && toggle(hovered.value),
      " ": () => hovered.value && toggle(hovered.value),
      "+": () => zoom(1.25),
      "-": () => zoom(0.8),
      "0": () => {
        view.value = null;
      },
      Escape: () => {
        hovered.value = null;
      },
    };
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  };

  return (
    <div class="circuit-frame">
      <div
        class="circuit-canvas"
        role="application"
        aria-label="Circuit"
        aria-describedby="circuit-keys circuit-cut"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: an application takes keys
        tabIndex={0}
        onKeyDown={key}
      >
        <canvas
          ref={canvas}
          onPointerDown={(event) => {
            drag.current = { x: event.clientX, y: event.clientY, moved: false };
            event.currentTarget.setPointerCapture(event.pointerId);
          }}
          onPointerMove={(event) => {
            const from = drag.current;
            const now = viewNow();
            if (!from || !now) {
              hovered.value = find(event);
              return;
            }
            const [dx, dy] = [event.clientX - from.x, event.clientY - from.y];
            if (!from.moved && Math.hypot(dx, dy) < 5) return;
            drag.current = { x: event.clientX, y: event.clientY, moved: true };
            view.value = { ...now, x: now.x + dx, y: now.y + dy };
          }}
          onPointerUp={(event) => {
            const wasDrag = drag.current?.moved ?? true;
            drag.current = null;
            const edge = wasDrag ? null : find(event);
            if (edge) toggle(edge);
          }}
          onPointerLeave={() => {
            if (!drag.current) hovered.value = null;
          }}
          onWheel={(event) => {
            event.preventDefault();
            zoom(Math.exp(-event.deltaY / 400), ...at(event));
          }}
        />
      </div>
      <div class="circuit-tools">
        <button type="button" class="icon-button" aria-label="Zoom in" onClick={() => zoom(1.25)}>
          +
        </button>
        <button type="button" class="icon-button" aria-label="Zoom out" onClick={() => zoom(0.8)}>
          −
        </button>
        <button
          type="button"
          class="button small"
          onClick={() => {
            view.value = null;
          }}
        >
          Whole
        </button>
      </div>
      <p class="circuit-hover number" aria-live="polite">
        {hovered.value ? (
          <Hovered edge={hovered.value} />
        ) : (
          <span class="soft">Point at an edge; click cuts or restores it.</span>
        )}
      </p>
      <p class="unseen" id="circuit-keys">
        Arrow keys go from edge to edge, Enter cuts or restores one, plus and minus zoom, 0 shows all.
      </p>
      <p class="unseen" id="circuit-cut">
        {cutEdges.value.length === 0
          ? "No edges are cut."
          : `Cut edges: ${cutEdges.value.map(({ name }) => name).join(", ")}.`}
      </p>
    </div>
  );
}

function Hovered({ edge }: { readonly edge: Edge }) {
  const value = attribution.value?.[edge.index];
  return (
    <>
      <strong>{edge.name}</strong> {cut.value.has(edge.index) ? "is cut" : "is whole"}
      {value !== undefined && (
        <span class="soft">
          ; cutting it changes the loss by about {value >= 0 ? "+" : "−"}
          {Math.abs(value).toPrecision(3)} nats
        </span>
      )}
    </>
  );
}
