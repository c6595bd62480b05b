/** What a room says while a server answers: it looks into a model, and a server tells texts alone. */
import type { Room } from "../state/room.ts";
import { disconnect } from "./connect.ts";

const needs: Readonly<Record<Exclude<Room, "Steer">, string>> = {
  Circuit: "Circuit draws and cuts the edges of a model in this page.",
  Fit: "Fit reads the activations of a model in this page.",
  Look: "Look reads what a model in this page computes between its layers.",
  Measure: "Measure times a model in this page on this device.",
};

export function NeedsPage({ room }: { readonly room: Exclude<Room, "Steer"> }) {
  return (
    <section class="card stack empty">
      <p class="lead">{needs[room]}</p>
      <p>A server answers with texts alone. Open a model above, or leave the server.</p>
      <div class="row">
        <button type="button" class="button" onClick={disconnect}>
          Leave server
        </button>
      </div>
    </section>
  );
}
