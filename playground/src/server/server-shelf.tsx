/** The bundles that a server has. */
import { bundles } from "../state/bundles.ts";
import type { Server } from "../state/server.ts";
import { addNamed } from "./connect.ts";

export function ServerShelf({ server }: { readonly server: Server }) {
  const isOpen = (name: string) => bundles.value.some(({ origin }) => origin.kind === "server" && origin.name === name);
  return (
    <div>
      <h3>On the server</h3>
      {server.bundles.length === 0 && (
        <p class="soft small">None: start it with --with FILE, or with --allow-uploads to add one from here.</p>
      )}
      <ul class="shelf">
        {server.bundles.map((name) => (
          <li key={name}>
            <strong>{name}</strong>
            <button
              type="button"
              class="button small"
              aria-label={`Add ${name}`}
              disabled={isOpen(name)}
              onClick={() => void addNamed(name)}
            >
              {isOpen(name) ? "Added" : "Add"}
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
