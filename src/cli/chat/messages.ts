/** Messages of one or several lines, assembled from typed lines. */

const FENCE = '"""';

/** Shown before the first line of a message, and before its further lines. */
import type { LineEvent, LineSource } from "../streams.ts";
export interface Prompts {
  readonly first: string;
  readonly more: string;
}

/**
 * The next message: a line; lines of which each but the last ends in a backslash; or the text between two `"""`.
 * Ctrl-C discards the typed text. The end of the input ends an open message.
 */
export async function nextMessage(lines: LineSource, prompts: Prompts): Promise<LineEvent> {
  const first = await lines.next(prompts.first);
  if (first.kind !== "line") return first;
  const opened = first.text.trimStart();
  if (opened.startsWith(FENCE)) return fenced(lines, prompts, opened.slice(FENCE.length));
  const parts: string[] = [];
  for (let line = first.text; ; ) {
    if (!line.endsWith("\\")) return { kind: "line", text: [...parts, line].join("\n") };
    parts.push(line.slice(0, -1));
    const next = await lines.next(prompts.more);
    if (next.kind === "interrupt") return { kind: "interrupt", gaveUp: true };
    if (next.kind === "end") return { kind: "line", text: parts.join("\n") };
    line = next.text;
  }
}

async function fenced(lines: LineSource, prompts: Prompts, opening: string): Promise<LineEvent> {
  const parts: string[] = [];
  for (let line = opening; ; ) {
    const body = line.trimEnd();
    if (body.endsWith(FENCE)) {
      parts.push(body.slice(0, -FENCE.length));
      return { kind: "line", text: trimFence(parts) };
    }
    parts.push(line);
    const next = await lines.next(prompts.more);
    if (next.kind === "interrupt") return { kind: "interrupt", gaveUp: true };
    if (next.kind === "end") return { kind: "line", text: trimFence(parts) };
    line = next.text;
  }
}

/** The line ends next to the quotes are not part of the message. */
function trimFence(parts: readonly string[]): string {
  return parts.join("\n").replace(/^\n/, "").replace(/\n$/, "");
}
