/** A part that scrolls by itself; the keyboard reaches it. */
import type { ComponentChildren } from "preact";

interface Props {
  /** What is in it. */
  readonly label: string;
  /** Of the stylesheet. */
  readonly kind?: "scroller" | "edge-list";
  readonly children: ComponentChildren;
}

export function Scroller({ label, kind = "scroller", children }: Props) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must take the focus for arrow keys to scroll it
    // biome-ignore lint/a11y/useSemanticElements: a group of whatever it holds, not of fields
    <div class={kind} role="group" aria-label={label} tabIndex={0}>
      {children}
    </div>
  );
}
