/** Which room is open. */
import { signal } from "@preact/signals";

export const rooms = ["Steer", "Circuit", "Fit", "Look", "Measure"] as const;
export type Room = (typeof rooms)[number];
export const room = signal<Room>("Steer");
