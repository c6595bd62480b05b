/** Which engines are measured, where, and the packages they come from. */
import type { LaneOptions } from "./lane.ts";

export type Engine = "sluice" | "onnxruntime-node" | "node-llama-cpp" | "onnxruntime-web" | "transformers" | "wllama";

/** What is to be opened: an engine in a host on a device. */
export interface LaneSpec {
  readonly engine: Engine;
  readonly host: "Node" | "Chromium";
  /** For the table: SwiftShader, lavapipe, CPU, or a driver's file. */
  readonly device: string;
  /** The Vulkan driver's file that the process gets to see; absent: none is needed. */
  readonly driver?: string;
  readonly options: LaneOptions;
}

/** Packages by engine; null for Sluice itself. */
export const packages: Readonly<Record<Engine, string | null>> = {
  sluice: null,
  "onnxruntime-node": "onnxruntime-node",
  "node-llama-cpp": "node-llama-cpp",
  "onnxruntime-web": "onnxruntime-web",
  transformers: "@huggingface/transformers",
  wllama: "@wllama/wllama",
};

/** A Vulkan driver to measure on. */
export interface Driver {
  readonly name: string;
  readonly file: string;
}

/** What runs in Node: on each driver what can use it, and the CPU for reference. */
export function nodeLanes(drivers: readonly Driver[], threads: number): readonly LaneSpec[] {
  const host = "Node";
  const onDrivers = drivers.flatMap(({ name: device, file: driver }): readonly LaneSpec[] => [
    { engine: "sluice", host, device, driver, options: { adapter: driver, threads } },
    { engine: "onnxruntime-node", host, device, driver, options: { backend: "webgpu", threads } },
    { engine: "node-llama-cpp", host, device, driver, options: { backend: "vulkan", threads } },
  ]);
  const onCpu = (["onnxruntime-node", "node-llama-cpp"] as const).map((engine): LaneSpec => {
    return { engine, host, device: "CPU", options: { backend: "cpu", threads } };
  });
  return [...onDrivers, ...onCpu];
}

/** What runs in a page of the Chromium that the tests use, whose WebGPU is SwiftShader's. */
export function pageLanes(threads: number): readonly LaneSpec[] {
  const host = "Chromium";
  const webgpu = { backend: "webgpu", threads };
  return [
    { engine: "sluice", host, device: "SwiftShader", options: { threads } },
    { engine: "onnxruntime-web", host, device: "SwiftShader", options: webgpu },
    { engine: "transformers", host, device: "SwiftShader", options: webgpu },
    { engine: "wllama", host, device: "CPU", options: { threads } },
  ];
}
