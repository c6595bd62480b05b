/** What to do on a browser without WebGPU. */
import { signal } from "@preact/signals";

type Support = "unknown" | "ready" | "no-api" | "no-adapter" | "insecure";

const support = signal<Support>("unknown");

if (!window.isSecureContext) support.value = "insecure";
else if (!("gpu" in navigator)) support.value = "no-api";
else {
  navigator.gpu.requestAdapter().then(
    (adapter) => {
      support.value = adapter ? "ready" : "no-adapter";
    },
    () => {
      support.value = "no-adapter";
    },
  );
}

export function NoWebGpu() {
  const why = support.value;
  if (why === "unknown" || why === "ready") return null;
  return (
    <div class="notice bad" role="alert">
      <strong>{titles[why]}</strong>
      <span>{advice(why)}</span>
      <span>Until then, this page shows a recorded run; or connect to a server, which runs the model elsewhere.</span>
    </div>
  );
}

const titles: Readonly<Record<"no-api" | "no-adapter" | "insecure", string>> = {
  "no-api": "This browser does not offer WebGPU, which runs the model.",
  "no-adapter": "This browser has WebGPU, but found no GPU that it may use.",
  insecure: "Browsers offer WebGPU on secure pages only.",
};

function advice(why: "no-api" | "no-adapter" | "insecure"): string {
  if (why === "insecure") return "Open this page by https://, or on this machine by http://localhost.";
  const agent = navigator.userAgent;
  if (why === "no-adapter") {
    if (/Linux/.test(agent) && !/Android/.test(agent)) {
      return "On Linux, install your GPU's Vulkan driver; in Chrome, also turn on chrome://flags/#enable-unsafe-webgpu and restart it.";
    }
    return "Turn on “Use graphics acceleration when available” in the browser's settings, update the graphics driver, and restart the browser.";
  }
  if (/Firefox/.test(agent)) {
    return "Firefox has WebGPU on Windows from version 141 and on Apple silicon from 145. Elsewhere, set dom.webgpu.enabled in about:config, or use Chrome or Edge.";
  }
  if (/Android/.test(agent)) return "On Android, Chrome 121 or later has WebGPU, on Android 12 or later.";
  if (/iPhone|iPad/.test(agent)) return "Update to iOS or iPadOS 26, whose Safari has WebGPU.";
  if (/Safari/.test(agent) && !/Chrome/.test(agent))
    return "Safari has WebGPU from version 26 on. Or use Chrome or Edge.";
  return "Chrome and Edge have it from version 113 on; update the browser.";
}
