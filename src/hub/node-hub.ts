/** Hub models in Node: in Hugging Face's cache, by the environment variables of Hugging Face's tools. */
import { stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { SluiceError } from "../errors.ts";
import { openSource } from "../formats/open-source.ts";
import type { FileSource } from "../formats/source.ts";
import { HubClient } from "./client.ts";
import { HubError } from "./errors.ts";
import type { HubOptions } from "./hub-options.ts";
import { NodeCache } from "./node-cache.ts";
import { type HubSettings, hubSettings } from "./node-settings.ts";
import { openStored, type PulledModel, pullModel, streamModel } from "./open-hub.ts";
import type { OpenModelOptions } from "./open-options.ts";
import type { HubReference } from "./reference.ts";

/**
 * @param name as the user gave it: a folder or file of that name is what is meant, if there is one
 * @throws SluiceError what {@link pullModel} throws
 */
export async function openReference(
  name: string,
  reference: HubReference,
  options: OpenModelOptions = {},
): Promise<FileSource> {
  if (!reference.isExplicit && (await isOnDisk(name))) {
    options.onNotice?.(`${name} is read from the disk; the hub's model of that name would be hf://${name}`);
    return openSource(name);
  }
  await options.beforeFetching?.();
  const settings = await hubSettings();
  const store = new NodeCache(settings.cache, settings.wantsLinks);
  return sayingBoth(name, reference, async () => {
    const wanted = downloadOptions(settings, store, options);
    if (options.streams) return streamModel(reference, wanted);
    const { commit, gguf } = await pullModel(reference, wanted);
    return openStored(reference, commit, gguf, wanted);
  });
}

/** A model that is now in the cache. */
export interface PulledFolder extends PulledModel {
  /** The folder of its files, or its GGUF file. */
  readonly path: string;
}

/**
 * Fetches a model into the cache.
 * @throws SluiceError `not_found`, `not_written`, `bad_file`, `aborted`
 */
export async function pull(reference: HubReference, options: OpenModelOptions = {}): Promise<PulledFolder> {
  const settings = await hubSettings();
  const store = new NodeCache(settings.cache, settings.wantsLinks);
  const pulled = await pullModel(reference, downloadOptions(settings, store, options));
  return { ...pulled, path: join(store.snapshot(reference.repo, pulled.commit), pulled.gguf ?? "") };
}

/** The cache that the environment names. */
export async function openCache(): Promise<NodeCache> {
  const { cache, wantsLinks } = await hubSettings();
  return new NodeCache(cache, wantsLinks);
}

function downloadOptions(
  { access, isOffline }: HubSettings,
  store: NodeCache,
  { hub = {}, signal, onNotice, onDownload }: OpenModelOptions,
): HubOptions {
  const endpoint = (hub.endpoint ?? access.endpoint).replace(/\/+$/, "");
  // The environment's token is for the environment's hub.
  const token = hub.token ?? (endpoint === access.endpoint ? access.token : null);
  return {
    client: new HubClient({ ...access, endpoint, token }, onNotice),
    store,
    isOffline: hub.offline ?? isOffline,
    signal,
    note: onNotice ?? (() => undefined),
    onProgress: onDownload ?? (() => undefined),
  };
}

/** A name that is neither a folder nor a model may be mistyped as either, so the error says what was tried. */
async function sayingBoth<T>(name: string, reference: HubReference, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (reference.isExplicit || !(error instanceof SluiceError) || error.code !== "not_found") throw error;
    if (error instanceof HubError && (error.kind === "denied" || error.kind === "missing_revision")) throw error;
    const [problem = ""] = error.message.split("\n");
    throw new SluiceError(
      "not_found",
      `${name} is not a folder (${resolve(name)} does not exist), and as a model of the hub it cannot be had: ${problem}`,
      { ...(error.hint !== undefined && { hint: error.hint }), cause: error },
    );
  }
}

/** Whether there is a folder or a file of that name, which is then what is meant. */
export async function isOnDisk(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR" || code === "ENAMETOOLONG") return false;
    throw error;
  }
}
