/**
 * Devices end before the process does. A driver in this process, such as SwiftShader, crashes it if the process takes its
 * libraries down while the driver's threads compute: the exit code would then be that of the crash.
 */
import process from "node:process";

const open = new Set<WeakRef<GPUDevice>>();

/** Destroys a device when the process ends, which waits for the work that it was given. */
export function destroyAtExit(device: GPUDevice): void {
  // Those that nobody disposed of, and that are gone.
  for (const each of open) if (!each.deref()) forget(each);
  if (open.size === 0) process.once("exit", destroyAll);
  const held = new WeakRef(device);
  open.add(held);
  void device.lost.then(() => forget(held));
}

function forget(held: WeakRef<GPUDevice>): void {
  open.delete(held);
  if (open.size === 0) process.off("exit", destroyAll);
}

function destroyAll(): void {
  for (const held of open) held.deref()?.destroy();
}
