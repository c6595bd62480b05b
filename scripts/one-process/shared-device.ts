/** One device for all programs that a process runs: a pipeline belongs to its device, and compiling takes most of their time. */
import { rememberPipelines } from "../../test/support/remember-pipelines.ts";

export interface SharedDevices {
  /** Takes away what a program has left on the devices, as the end of its process would. */
  clear(): Promise<void>;
}

interface Shared {
  readonly device: GPUDevice;
  clear(): Promise<void>;
}

type Listener = Parameters<GPUDevice["addEventListener"]>;

/**
 * Makes adapters hand out the same device to all who ask for the same one. It remembers its pipelines, and stays when it
 * is told to go: with a device of its own a program would compile anew what the one before it had compiled.
 * @param prototype of the adapters
 */
export function shareDevices(prototype: GPUAdapter): SharedDevices {
  const all = new Map<string, Promise<Shared>>();
  const requestDevice = prototype.requestDevice;
  prototype.requestDevice = async function (this: GPUAdapter, descriptor) {
    const { vendor, architecture, device: name, description } = this.info;
    const key = JSON.stringify([vendor, architecture, name, description, descriptor]);
    let shared = all.get(key);
    if (!shared) {
      shared = requestDevice.call(this, descriptor).then((device) => {
        void device.lost.then(() => all.delete(key));
        return share(device);
      });
      all.set(key, shared);
      shared.catch(() => all.delete(key));
    }
    return (await shared).device;
  };
  return {
    async clear() {
      for (const [key, shared] of all) {
        try {
          await (await shared).clear();
        } catch {
          // What comes next gets a device of its own.
          all.delete(key);
        }
      }
    },
  };
}

function share(device: GPUDevice): Shared {
  const buffers = new Set<GPUBuffer>();
  const listeners: Listener[] = [];
  let scopes = 0;
  const createBuffer = device.createBuffer.bind(device);
  const addEventListener = device.addEventListener.bind(device);
  const pushErrorScope = device.pushErrorScope.bind(device);
  const popErrorScope = device.popErrorScope.bind(device);
  rememberPipelines(device);
  device.destroy = () => undefined;
  device.createBuffer = (descriptor) => {
    const buffer = createBuffer(descriptor);
    buffers.add(buffer);
    return buffer;
  };
  device.addEventListener = (...listener: Listener) => {
    listeners.push(listener);
    addEventListener(...listener);
  };
  device.pushErrorScope = (filter) => {
    scopes += 1;
    return pushErrorScope(filter);
  };
  device.popErrorScope = () => {
    scopes -= 1;
    return popErrorScope();
  };
  return {
    device,
    async clear() {
      await device.queue.onSubmittedWorkDone();
      for (const buffer of buffers) buffer.destroy();
      buffers.clear();
      for (const listener of listeners.splice(0)) device.removeEventListener(...listener);
      // It would take the next program's errors.
      if (scopes !== 0) throw new Error(`${scopes} error scopes were left open`);
    },
  };
}
