/** The whole page takes dropped files: a model's folder, a GGUF file, or a bundle. */
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { openDropped } from "../state/dropped.ts";

export function DropTarget({ children }: { readonly children: ComponentChildren }) {
  const depth = useSignal(0);
  const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the buttons take the same files by keyboard
    <div
      class={depth.value > 0 ? "dropping" : undefined}
      onDragEnter={(event) => {
        if (hasFiles(event)) depth.value += 1;
      }}
      onDragLeave={(event) => {
        if (hasFiles(event)) depth.value = Math.max(0, depth.value - 1);
      }}
      onDragOver={(event) => {
        if (hasFiles(event)) event.preventDefault();
      }}
      onDrop={(event) => {
        if (!hasFiles(event) || !event.dataTransfer) return;
        event.preventDefault();
        depth.value = 0;
        void openDropped(event.dataTransfer);
      }}
    >
      {children}
    </div>
  );
}
