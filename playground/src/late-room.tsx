/** The rooms that a first visit does not see: the code of each comes when it is opened. */
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { FailureNotice } from "./parts/notice.tsx";
import type { Failure } from "./state/failure.ts";
import type { Room } from "./state/room.ts";

type Late = Exclude<Room, "Steer">;
type Contents = () => preact.JSX.Element;

const imports: Readonly<Record<Late, () => Promise<Contents>>> = {
  Circuit: async () => (await import("./circuit/circuit.tsx")).Circuit,
  Fit: async () => (await import("./fit/fit.tsx")).Fit,
  Look: async () => (await import("./look/look.tsx")).Look,
  Measure: async () => (await import("./measure/measure.tsx")).Measure,
};

const arrived = signal<Partial<Readonly<Record<Late, Contents>>>>({});
const importFailure = signal<Failure | null>(null);

export function LateRoom({ name }: { readonly name: Late }) {
  useEffect(() => void bring(name), [name]);
  const Arrived = arrived.value[name];
  if (Arrived) return <Arrived />;
  if (importFailure.value) return <FailureNotice failure={importFailure.value} />;
  return (
    <p class="soft" role="status">
      Opening {name} …
    </p>
  );
}

async function bring(name: Late): Promise<void> {
  importFailure.value = null;
  try {
    const Arrived = await imports[name]();
    arrived.value = { ...arrived.value, [name]: Arrived };
  } catch {
    // The browser says which file it could not fetch, which helps nobody who reads it here.
    importFailure.value = {
      what: `The room ${name} could not be loaded`,
      hint: "Is there a network? If the site was renewed since this page was opened, reload the page.",
      code: null,
    };
  }
}
