/** A device whose calls are counted, so that something can happen at a chosen one: between submit and map, for example. */

/** What happens at a call. */
export interface Watch {
  /** Called before each call with its number, from 1, and its name. */
  onCall(number: number, name: string): void;
  /** Whether this allocation finds no memory. */
  isOutOfMemory?(number: number): boolean;
  /** Limits that are smaller than the device's. */
  readonly limits?: Readonly<Record<string, number>>;
}

const COUNTED = new Set([
  "createBuffer",
  "createBindGroup",
  "createComputePipelineAsync",
  "createCommandEncoder",
  "submit",
  "writeBuffer",
  "onSubmittedWorkDone",
]);

/** The device, with every call told to `watch`. Buffers and pipelines are the device's own. */
export function watchedDevice(device: GPUDevice, watch: Watch): GPUDevice {
  let calls = 0;
  /** Of the error scopes that are open: whether an allocation in it failed. */
  const scopes: boolean[] = [];
  const called = (name: string): void => {
    if (COUNTED.has(name)) watch.onCall(++calls, name);
  };
  const queue = standIn(device.queue, called, {});
  const limits = standIn(device.limits, () => undefined, watch.limits ?? {});
  return standIn(device, called, {
    queue,
    limits,
    pushErrorScope: (filter: GPUErrorFilter) => {
      scopes.push(false);
      device.pushErrorScope(filter);
    },
    popErrorScope: async () => {
      const failed = scopes.pop();
      const error = await device.popErrorScope();
      return failed ? ({ message: "out of memory" } as GPUError) : error;
    },
    createBuffer: (descriptor: GPUBufferDescriptor) => {
      called("createBuffer");
      const buffer = device.createBuffer(descriptor);
      if (watch.isOutOfMemory?.(calls)) {
        scopes[scopes.length - 1] = true;
        // A buffer without memory cannot be used, and each use is an error.
        buffer.destroy();
      }
      return buffer;
    },
  });
}

/** An object whose methods are reported, and some of whose properties are others. */
function standIn<T extends object>(real: T, called: (name: string) => void, own: Readonly<Record<string, unknown>>): T {
  return new Proxy(real, {
    get(target, name) {
      if (typeof name === "string" && Object.hasOwn(own, name)) return own[name];
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      return (...args: readonly unknown[]) => {
        called(String(name));
        return Reflect.apply(value, target, args);
      };
    },
  });
}
