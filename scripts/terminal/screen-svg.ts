/** A picture of a terminal: lines of text on a dark window. */

import { escaped } from "../svg.ts";

const FONT = 13;
const LINE = 19;
const COLUMN = 7.83;
const MARGIN = 18;
const BAR = 30;

/**
 * @param isTyped whether a line was typed by the user; such lines are drawn in another colour and weight
 * @param title in the window's bar
 */
export function screenSvg(
  lines: readonly string[],
  columns: number,
  title: string,
  isTyped: (line: string) => boolean,
): string {
  const width = Math.ceil(columns * COLUMN + 2 * MARGIN);
  const height = BAR + lines.length * LINE + MARGIN;
  const rows = lines.map((line, i) => {
    const style = isTyped(line) ? ' fill="#ffd479" font-weight="bold"' : "";
    return line === ""
      ? ""
      : `<text x="${MARGIN}" y="${BAR + (i + 1) * LINE - 5}"${style} xml:space="preserve">${escaped(line)}</text>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${width}" height="${height}" rx="8" fill="#16181d"/>`,
    `<path d="M0 ${BAR}V8a8 8 0 0 1 8-8h${width - 16}a8 8 0 0 1 8 8v${BAR - 8}z" fill="#262a33"/>`,
    `<text x="${width / 2}" y="20" text-anchor="middle" fill="#9aa3b2" font-family="sans-serif" font-size="12">${escaped(title)}</text>`,
    `<g fill="#e6e9ef" font-family="ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace" font-size="${FONT}">`,
    ...rows.filter((row) => row !== ""),
    "</g>",
    "</svg>",
    "",
  ].join("\n");
}
