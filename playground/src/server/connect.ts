/** Connects to a server, and takes its bundles. */
import { signal } from "@preact/signals";
import { newChat } from "../chat/chat.ts";
import { addServerBundle, bundleFailure, clearBundles, type OpenBundle } from "../state/bundles.ts";
import { type Failure, failureOf } from "../state/failure.ts";
import { closeModel } from "../state/model.ts";
import { type Server, server } from "../state/server.ts";
import { clearRun } from "../steer/run.ts";
import { ask, Refusal, serverAddress } from "./ask.ts";

/** Time to answer what is known at once. */
const PATIENCE = 15_000;

export const serverFailure = signal<Failure | null>(null);
export const isConnecting = signal(false);

/** Asks which models and bundles there are. @returns whether the server takes the page's model's place now */
export async function connect(text: string, key: string): Promise<boolean> {
  serverFailure.value = null;
  isConnecting.value = true;
  try {
    const known = { address: serverAddress(text), key: key.trim() };
    const models = await listOf(known, "/v1/models");
    const [model] = models;
    if (model === undefined) throw new Refusal(`${known.address} has no model`, {});
    const bundles = await bundlesOf(known);
    closeModel();
    clearBundles();
    clearRun();
    newChat();
    server.value = { ...known, models, model, bundles };
    return true;
  } catch (error) {
    serverFailure.value = failureOf(error);
    return false;
  } finally {
    isConnecting.value = false;
  }
}

export function disconnect(): void {
  if (!server.value) return;
  clearRun();
  newChat();
  clearBundles();
  server.value = null;
}

/** Adds one of the server's bundles, with its stages as it tells them. */
export async function addNamed(name: string): Promise<boolean> {
  const open = server.value;
  if (!open) return false;
  try {
    const response = await ask(open, `/v1/bundles/${encodeURIComponent(name)}`, soon());
    const { stages } = (await response.json()) as Pick<OpenBundle["manifest"], "stages">;
    addServerBundle(name, { name, stages });
    return true;
  } catch (error) {
    bundleFailure.value = failureOf(error, name);
    return false;
  }
}

/** Uploads a file, and adds it. */
export async function uploadBundle(file: File): Promise<void> {
  const open = server.value;
  if (!open) return;
  // As the server names bundles.
  const stem = file.name.replace(/\.safetensors$/, "").replace(/[^A-Za-z0-9._-]+/g, "-");
  const name = stem.replace(/^[^A-Za-z0-9]+/, "") || "bundle";
  try {
    await ask(open, `/v1/bundles/${encodeURIComponent(name)}`, { ...soon(), method: "PUT", body: file });
    server.value = { ...open, bundles: [...new Set([...open.bundles, name])] };
    await addNamed(name);
  } catch (error) {
    bundleFailure.value = failureOf(error, file.name);
  }
}

async function listOf(known: Pick<Server, "address" | "key">, path: string): Promise<readonly string[]> {
  const response = await ask(known, path, soon());
  const { data } = (await response.json()) as { readonly data?: readonly { readonly id: string }[] };
  if (!Array.isArray(data))
    throw new Refusal(`${known.address}${path} is not a list, so this is not a server of this kind`, {});
  return data.map(({ id }) => String(id));
}

/** Other servers have none. */
async function bundlesOf(known: Pick<Server, "address" | "key">): Promise<readonly string[]> {
  try {
    return await listOf(known, "/v1/bundles");
  } catch (error) {
    if (error instanceof Refusal && error.status !== 401) return [];
    throw error;
  }
}

function soon(): { readonly signal: AbortSignal } {
  return { signal: AbortSignal.timeout(PATIENCE) };
}
