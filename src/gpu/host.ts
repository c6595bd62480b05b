/**
 * Where adapters come from. Two modules export `openAdapter`: node.ts, and browser.ts, which replaces it
 * in pages (scripts/page-faces.json says so).
 */

export interface AdapterRequest {
  /** `auto`, `swiftshader`, part of an adapter's name, or the path of a Vulkan driver's JSON file. */
  readonly adapter?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called with notices for the user, for example that no GPU was found. */
  readonly onNotice?: ((line: string) => void) | undefined;
}

/** An adapter that is ready for one `requestDevice`. */
export interface HostAdapter {
  readonly adapter: GPUAdapter;
  /** Its name in messages. */
  readonly name: string;
  /** The API below WebGPU, e.g. `vulkan`; null if unknown. */
  readonly backend: string | null;
  /** Where it comes from, e.g. `/usr/share/vulkan/icd.d/radeon_icd.json`. */
  readonly origin: string;
  /** Called with the device that was opened on it. */
  onDevice?(device: GPUDevice): void;
}

/** Whether a choice of adapter means that Sluice chooses. */
export function isAuto(choice: string | undefined): boolean {
  return choice === undefined || ["", "auto"].includes(choice.trim().toLowerCase());
}

/** Whether this runs in a browser, in a page or a worker. */
export const IN_BROWSER = "document" in globalThis || "importScripts" in globalThis;
