/** Bundles that come with the site. */
import { signal } from "@preact/signals";
import { addBundle } from "./bundles.ts";

/** An entry of shelf/shelf.json. */
export interface ShelfBundle {
  readonly id: string;
  readonly title: string;
  /** What it does, in a sentence. */
  readonly says: string;
  /** The small model that it was made for. */
  readonly model: string;
  /** Its file, beside shelf.json. */
  readonly file: string;
  /** What a stage moves towards, for its card. */
  readonly towards?: string;
  /** What it moves away from. */
  readonly away?: string;
  /** Where it comes from. */
  readonly origin: string;
  /** A prompt to try it with. */
  readonly prompt?: string;
}

export const shelf = signal<readonly ShelfBundle[]>([]);

export function shelfAddress(file: string): string {
  return new URL(`shelf/${file}`, document.baseURI).href;
}

export async function loadShelf(): Promise<void> {
  shelf.value = (await (await fetch(shelfAddress("shelf.json"))).json()) as ShelfBundle[];
}

/** Takes a bundle off the shelf. @returns whether it could be read */
export async function addFromShelf(id: string): Promise<boolean> {
  if (shelf.value.length === 0) await loadShelf();
  const entry = shelf.value.find((each) => each.id === id);
  if (!entry) return false;
  const response = await fetch(shelfAddress(entry.file));
  const bytes = new Uint8Array(await response.arrayBuffer());
  return addBundle(bytes, entry.title, { kind: "shelf", id }, entry);
}
