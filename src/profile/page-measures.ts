/** A profile's spans among the entries of `performance`, which a page's Performance panel shows. */

import { measureDoor } from "./profile-argument.ts";
import type { Profile } from "./profile-result.ts";

/** Whether this is a page or a worker of one. */
export function isPage(): boolean {
  return "document" in globalThis || "WorkerGlobalScope" in globalThis;
}

/**
 * Shows dispatches and host spans as tracks of the Performance panel, at the time at which they happened. Profiling in a
 * page does this by default. Call it in the same page or worker, since times are by its `performance.now()`.
 */
export function measureInPage(profile: Profile): void {
  measureDoor.read(profile);
  const measure = (track: string, name: string, beginMs: number, ms: number, properties: [string, string][]): void => {
    // Rounding must not place it before the page's start.
    const start = Math.max(0, profile.time_origin_ms + beginMs);
    const detail = { devtools: { dataType: "track-entry", trackGroup: "Sluice", track, properties } };
    performance.measure(name, { start, duration: ms, detail });
  };
  for (const { label, kernel, begin_ms, ms } of profile.dispatches) {
    if (begin_ms !== null && ms !== null) measure("Sluice GPU", label, begin_ms, ms, [["kernel", kernel]]);
  }
  for (const { work, name, begin_ms, ms, detail } of profile.host.spans) {
    const properties = Object.entries(detail).map(([key, value]): [string, string] => [key, String(value)]);
    const title = work === "compile" ? `compile ${name}` : name;
    measure(work === "compile" ? "Sluice compile" : "Sluice host", title, begin_ms, ms, properties);
  }
}
