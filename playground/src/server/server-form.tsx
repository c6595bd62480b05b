/** Connects to a server instead of opening a model here. */
import { useSignal } from "@preact/signals";
import { FailureNotice } from "../parts/notice.tsx";
import { type Server, server } from "../state/server.ts";
import { isBusy } from "../steer/run-state.ts";
import { connect, disconnect, isConnecting, serverFailure } from "./connect.ts";

export function ServerForm() {
  const address = useSignal("");
  const key = useSignal("");
  const showsKey = address.value.trim() !== "";
  return (
    <>
      <form
        class="opener-form"
        onSubmit={(event) => {
          event.preventDefault();
          if (address.value.trim() !== "" && !isConnecting.value) void connect(address.value, key.value);
        }}
      >
        <div class={`server-fields${showsKey ? " keyed" : ""}`}>
          <label class="field">
            <span>Server</span>
            <input
              type="text"
              inputMode="url"
              value={address.value}
              placeholder="or a server's address, such as http://localhost:8000"
              spellcheck={false}
              autocomplete="off"
              autocapitalize="off"
              onInput={({ currentTarget }) => {
                address.value = currentTarget.value;
              }}
            />
          </label>
          {showsKey && (
            <label class="field">
              <span>Its key</span>
              <input
                type="password"
                value={key.value}
                placeholder="if it asks for one"
                autocomplete="off"
                onInput={({ currentTarget }) => {
                  key.value = currentTarget.value;
                }}
              />
            </label>
          )}
        </div>
        <button type="submit" class="button" disabled={isBusy.value}>
          Connect
        </button>
      </form>
      {isConnecting.value && (
        <p class="soft small" role="status">
          Connecting …
        </p>
      )}
      {serverFailure.value && <FailureNotice failure={serverFailure.value} />}
      {server.value && <Connected open={server.value} />}
    </>
  );
}

function Connected({ open }: { readonly open: Server }) {
  return (
    <div class="model-line" role="status">
      <strong>{open.model}</strong>
      <span class="soft">on {open.address}</span>
      {open.models.length > 1 && (
        <select
          aria-label="Model of the server"
          value={open.model}
          onChange={({ currentTarget }) => {
            server.value = { ...open, model: currentTarget.value };
          }}
        >
          {open.models.map((model) => (
            <option key={model}>{model}</option>
          ))}
        </select>
      )}
      <span class="chip">server</span>
      <button type="button" class="button small quiet" disabled={isBusy.value} onClick={disconnect}>
        Leave server
      </button>
    </div>
  );
}
