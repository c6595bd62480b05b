/** WebGPU in a page. Bundlers for browsers put this module in the place of node.ts (package.json says so). */
import { SluiceError } from "../errors.ts";
import type { HostAdapter, HostOptions } from "./host.ts";

/** @throws SluiceError `no_adapter` saying why there is none and what to do */
export async function openAdapter({ adapter: choice }: HostOptions): Promise<HostAdapter> {
  if (choice !== "auto") {
    throw new SluiceError("usage", `A page cannot choose the adapter ${JSON.stringify(choice)}`, {
      hint: "The browser decides; give load() a device of your own to use another one.",
    });
  }
  if (!globalThis.isSecureContext) {
    throw new SluiceError("no_adapter", "This page is not a secure context, and browsers offer WebGPU only there", {
      hint: "Serve it over https, or from localhost.",
    });
  }
  if (!navigator.gpu) {
    throw new SluiceError("no_adapter", "This browser does not offer WebGPU", {
      hint: "Chrome and Edge 113, Safari 26 and Firefox 141 do. On Linux, Chrome may need chrome://flags/#enable-unsafe-webgpu.",
    });
  }
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) {
    throw new SluiceError("no_adapter", "The browser has WebGPU but found no adapter it trusts", {
      hint: "See chrome://gpu; on Linux, chrome://flags/#enable-vulkan and #enable-unsafe-webgpu may help.",
    });
  }
  return { adapter, release: () => undefined };
}
