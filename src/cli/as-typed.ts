/** What a person typed, as an error repeats it. */
import { printable } from "./columns.ts";

/** More of it would hide what the error says. */
const MOST = 60;

/** On one line, without what would move the cursor, and not much of it. */
export function asTyped(text: string): string {
  const line = printable(text.slice(0, 2 * MOST)).replaceAll("\n", "⏎");
  return line.length > MOST ? `${line.slice(0, MOST)}…` : line;
}
