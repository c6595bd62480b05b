/** Who wants to know that a device is lost: the device's promise has one reaction for all, since reactions cannot be taken back. */

type Listener = (info: GPUDeviceLostInfo) => void;

const waiting = new WeakMap<GPUDevice, Set<Listener>>();

/**
 * Calls back when the device is lost, also if it is lost already.
 * @returns ends that
 */
export function onLoss(device: GPUDevice, listener: Listener): () => void {
  const listeners = waiting.get(device) ?? watch(device);
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function watch(device: GPUDevice): Set<Listener> {
  const listeners = new Set<Listener>();
  waiting.set(device, listeners);
  void device.lost.then((info) => {
    // Whoever comes later finds the promise settled, and waits for its own turn.
    waiting.delete(device);
    for (const listener of listeners) listener(info);
  });
  return listeners;
}
