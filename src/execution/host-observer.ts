/** What the host does while the device works, for those who watch it. */

/**
 * What the host does while tokens are made: `encode` writes the step's uniforms and records commands, `submit` hands
 * them over, `wait` lasts until results are read back. Beyond what runs dispatches, `text` turns ids into text, and `stamps`
 * reads the clock of a profiled run.
 */
export const hostWorks = ["encode", "submit", "wait", "text", "stamps"] as const;

/** What the host does around a step. */
export type HostWork = (typeof hostWorks)[number];

/** Sees the host change from one work to another. */
export interface HostObserver {
  /** Begins a work, and ends the one before it. */
  enter(work: HostWork): void;
  /** Ends the work; none of these follows. */
  leave(): void;
}
