/** A device that has limits and computes nothing: for what asks a device no more than whether it could hold a model. */
import { limitNames } from "../../src/gpu/profile.ts";

const COUNT = 1 << 16;

export const imaginedDevice = {
  createBuffer() {
    throw new Error("Nothing runs on this device");
  },
  addEventListener: () => undefined,
  removeEventListener: () => undefined,
  queue: { onSubmittedWorkDone: async () => undefined, submit: () => undefined },
  features: new Set<string>(),
  lost: new Promise<never>(() => undefined),
  limits: Object.fromEntries(limitNames.map((name) => [name, name.endsWith("Size") ? 128 << 20 : COUNT])),
} as unknown as GPUDevice;
