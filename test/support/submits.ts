/** Watching a queue. */

/**
 * Calls `onSubmit` after every submit that has work in it; empty ones only make a browser look for what is done
 * (src/gpu/waiting.ts).
 * @returns what ends it
 */
export function watchSubmits(queue: GPUQueue, onSubmit: () => void): () => void {
  const submit = queue.submit;
  Object.defineProperty(queue, "submit", {
    configurable: true,
    value: (buffers: Iterable<GPUCommandBuffer>) => {
      const commands = [...buffers];
      submit.call(queue, commands);
      if (commands.length > 0) onSubmit();
    },
  });
  return () => {
    Reflect.deleteProperty(queue, "submit");
  };
}
