/** The circuit as a bundle: in the room Steer, or as a file. */
import { saveFile } from "../parts/save-file.ts";
import { addBundle } from "../state/bundles.ts";
import { failureOf } from "../state/failure.ts";
import { room } from "../state/room.ts";
import { bundleBytes, failure } from "./continuation.ts";
import { sortingMeans } from "./sorting.ts";
import { cut } from "./state.ts";

export function UseCircuit({ isSorting }: { readonly isSorting: boolean }) {
  const make = async (then: (bytes: Uint8Array) => void | Promise<void>) => {
    try {
      await then(await bundleBytes(isSorting ? await sortingMeans() : undefined));
    } catch (error) {
      failure.value = failureOf(error);
    }
  };
  const hasCut = cut.value.size > 0;
  return (
    <>
      <button
        type="button"
        class="button small"
        disabled={!hasCut}
        onClick={() =>
          void make(async (bytes) => {
            await addBundle(bytes, "circuit.safetensors", { kind: "file" });
            room.value = "Steer";
          })
        }
      >
        Use in Steer
      </button>
      <button
        type="button"
        class="button small"
        disabled={!hasCut}
        onClick={() => void make((bytes) => saveFile("circuit.safetensors", bytes, "application/octet-stream"))}
      >
        Save bundle
      </button>
    </>
  );
}
