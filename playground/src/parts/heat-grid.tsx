/** A grid of values as shades on a canvas, with a frame round what is pointed at. */
import { useEffect, useRef } from "preact/hooks";

interface Props {
  /** The text alternative. */
  readonly label: string;
  readonly rows: number;
  readonly columns: number;
  /** From 0 to 1. */
  readonly value: (row: number, column: number) => number;
  /** Redrawn if it changes. */
  readonly of: unknown;
  readonly onPoint?: (cell: { readonly row: number; readonly column: number } | null) => void;
  readonly onPick?: () => void;
}

export function HeatGrid({ label, rows, columns, value, of, onPoint, onPick }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const element = canvas.current;
    const context = element?.getContext("2d");
    if (!element || !context || rows === 0 || columns === 0) return;
    const probe = getComputedStyle(element);
    const [r, g, b] = channels(probe.color);
    const image = context.createImageData(columns, rows);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const at = (row * columns + column) * 4;
        image.data[at] = r;
        image.data[at + 1] = g;
        image.data[at + 2] = b;
        image.data[at + 3] = 255 * Math.min(1, Math.max(0, value(row, column)));
      }
    }
    context.putImageData(image, 0, 0);
  }, [of, rows, columns]);
  return (
    <canvas
      ref={canvas}
      class="heat-grid"
      role="img"
      aria-label={label}
      width={columns}
      height={rows}
      onPointerMove={(event) => {
        const box = event.currentTarget.getBoundingClientRect();
        const row = Math.floor(((event.clientY - box.top) / box.height) * rows);
        const column = Math.floor(((event.clientX - box.left) / box.width) * columns);
        onPoint?.({ row: Math.min(rows - 1, Math.max(0, row)), column: Math.min(columns - 1, Math.max(0, column)) });
      }}
      onPointerLeave={() => onPoint?.(null)}
      onClick={onPick}
    />
  );
}

/** `rgb(1, 2, 3)`, or `color(srgb 0 0.5 1)`. */
function channels(colour: string): [number, number, number] {
  const numbers = colour.match(/[\d.]+/g)?.map(Number) ?? [];
  const scale = colour.startsWith("color") ? 255 : 1;
  return [(numbers[0] ?? 0) * scale, (numbers[1] ?? 0) * scale, (numbers[2] ?? 0) * scale];
}
