/** Adapters in a page or worker: `navigator.gpu`. */
import { SluiceError, throwIfAborted } from "../errors.ts";
import { show } from "../show.ts";
import { type AdapterRequest, type HostAdapter, isAuto } from "./host.ts";
import { displayName, isSoftware, namesOf } from "./profile.ts";

/** @throws SluiceError `no_adapter` with the reason and what to do; `usage` for a choice; `aborted` */
export async function openAdapter({ adapter: choice, signal, onNotice }: AdapterRequest): Promise<HostAdapter> {
  throwIfAborted(signal);
  if (!isAuto(choice)) {
    throw new SluiceError("usage", `A page cannot choose the adapter ${show(choice)}: the browser decides`, {
      hint: "Leave the option out, or pass your own device to load().",
    });
  }
  const adapter = await gpuOfPage().requestAdapter({ powerPreference: "high-performance" });
  throwIfAborted(signal);
  if (!adapter) {
    throw new SluiceError("no_adapter", "This browser has WebGPU, but offers no adapter to run it on", {
      hint: "chrome://gpu, in Firefox about:support, shows what disables the GPU. On Linux, chrome://flags/#enable-vulkan and #enable-unsafe-webgpu may help.",
    });
  }
  const name = displayName(namesOf(adapter.info));
  if (isSoftware(adapter.info)) onNotice?.(`This browser offers no GPU: computing on the CPU with ${name}.`);
  return { adapter, name, backend: null, origin: "the browser" };
}

function gpuOfPage(): GPU {
  // The type says it always exists, but older browsers and insecure pages lack it.
  const gpu = (navigator as { readonly gpu?: GPU }).gpu;
  if (gpu) return gpu;
  if (!globalThis.isSecureContext) {
    throw new SluiceError(
      "no_adapter",
      `Browsers offer WebGPU only to secure pages, and ${location.origin} is not one`,
      {
        hint: "Serve the page over https, or from localhost.",
      },
    );
  }
  throw new SluiceError("no_adapter", "This browser does not offer WebGPU", {
    hint: "Chrome and Edge 113, Safari 26 and Firefox 141 do, on some systems later ones. On Linux, Chrome may need chrome://flags/#enable-unsafe-webgpu.",
  });
}
