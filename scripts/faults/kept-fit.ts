/** A fit that keeps its measurements, as the commands do. */
import { FileStore } from "../../src/cli/response-store.ts";
import { fitDirection, load, writeBundle } from "../../src/index.ts";
import { location } from "../../test/support/files.ts";
import { MODEL } from "./works.ts";

/** Sentences of which each is measured alone, so that there is something to resume. */
const sentences = Array.from({ length: 24 }, (_, i) => Array.from({ length: 40 }, (_, j) => (i * 7 + j * 3) % 100));

/** @returns the bundle, and how many sentences an earlier run had left */
export async function keptFit(
  out: string,
  device: GPUDevice | undefined,
  onSentence: (done: number) => void = () => undefined,
): Promise<{ readonly bundle: Uint8Array; readonly kept: boolean }> {
  const model = await load(location(MODEL), { ...(device && { device }), plan: "reference" });
  try {
    const store = await FileStore.open(out, { fit: "kept" });
    const kept = store.isBegun;
    const classes = { positive: sentences.slice(0, 12), negative: sentences.slice(12) };
    const bundle = await store.during(
      fitDirection(model, "ace", { ...classes, layers: [0], store, onProgress: (done) => onSentence(done) }),
    );
    await store.remove();
    return { bundle: writeBundle(bundle), kept };
  } finally {
    model.dispose();
  }
}
