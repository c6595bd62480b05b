/** Texts and tables in columns, for a terminal whose characters take one or two cells. */

/** Blocks whose characters take two cells: those of East Asia, and most emoji. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f900}-\u{1f9ff}\u{20000}-\u{3fffd}]/u;
/** Combining marks and characters without a shape: they take no cell. */
const ZERO = /[\p{Mn}\p{Me}\p{Cf}]/u;

/** A text made safe for a column: tabs become spaces, and a sign replaces characters that move the cursor. */
export function printable(text: string): string {
  return text
    .replace(/\r\n?/g, "\n")
    .replace(/\t/g, "    ")
    .replace(/(?!\n)\p{Cc}/gu, "\ufffd");
}

/** The number of cells that a text takes on one line. */
export function cellsOf(text: string): number {
  let cells = 0;
  for (const character of text) cells += ZERO.test(character) ? 0 : WIDE.test(character) ? 2 : 1;
  return cells;
}

/** The text, padded with spaces to a number of cells. */
function padCells(text: string, width: number): string {
  return text + " ".repeat(Math.max(0, width - cellsOf(text)));
}

/** Lines of at most `width` cells, broken at spaces if there are any. */
export function wrapCells(text: string, width: number): readonly string[] {
  return text.split("\n").flatMap((paragraph) => {
    const lines: string[] = [];
    let line = "";
    for (const word of paragraph.split(/(?<= )/u)) {
      if (cellsOf(line) + cellsOf(word.trimEnd()) > width && line !== "") {
        lines.push(line.trimEnd());
        line = "";
      }
      for (const character of word) {
        if (cellsOf(line) + cellsOf(character) > width) {
          if (character === " ") continue;
          lines.push(line);
          line = "";
        }
        line += character;
      }
    }
    return [...lines, line.trimEnd()];
  });
}

/**
 * @param width of the screen, in cells
 * @returns a header, a rule, and the texts below it
 */
export function sideBySide(
  left: { readonly title: string; readonly text: string },
  right: { readonly title: string; readonly text: string },
  width: number,
): string {
  const half = Math.max(16, Math.floor((width - 3) / 2));
  const sides = [left, right].map(({ title, text }) => [title, "─".repeat(half), ...wrapCells(printable(text), half)]);
  const [a = [], b = []] = sides;
  const rows = Array.from({ length: Math.max(a.length, b.length) }, (_, i) => {
    return `${padCells(a[i] ?? "", half)} ${i === 1 ? "┼" : "│"} ${b[i] ?? ""}`.trimEnd();
  });
  // The rule runs through the gap between the columns.
  rows[1] = rows[1]?.replace(" ┼ ", "─┼─") ?? "";
  return `${rows.join("\n")}\n`;
}

/** A column of a table, by its title. */
export interface Column {
  readonly title: string;
  readonly side: "left" | "right";
}

/** A column of words. */
export function left(title: string): Column {
  return { title, side: "left" };
}

/** A column of numbers. */
export function right(title: string): Column {
  return { title, side: "right" };
}

/** A table with a header row; columns are as wide as their contents, and no line ends in spaces. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const all = [columns.map(({ title }) => title), ...rows];
  const widths = columns.map((_, i) => Math.max(...all.map((row) => cellsOf(row[i] ?? ""))));
  return all
    .map((row) => {
      const cells = columns.map(({ side }, i) => {
        const cell = row[i] ?? "";
        const width = widths[i] as number;
        return side === "left" ? padCells(cell, width) : " ".repeat(width - cellsOf(cell)) + cell;
      });
      return `  ${cells.join("  ").trimEnd()}\n`;
    })
    .join("");
}
