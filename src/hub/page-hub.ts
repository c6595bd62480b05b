/**
 * The browser's counterpart of node-hub.ts: models of huggingface.co, or of the hub that `hub.endpoint` names, kept in
 * the page's own storage.
 */
import { SluiceError } from "../errors.ts";
import { openSource } from "../formats/open-source.ts";
import type { FileSource } from "../formats/source.ts";
import { HubClient } from "./client.ts";
import type { HubOptions } from "./hub-options.ts";
import { openStored, pullModel, streamModel } from "./open-hub.ts";
import type { OpenModelOptions } from "./open-options.ts";
import { PageCache } from "./page-cache.ts";
import { openPageFiles } from "./page-files.ts";
import type { HubReference } from "./reference.ts";

const DEFAULT_ENDPOINT = "https://huggingface.co";

/** Milliseconds until an answer must have begun, and that a body may pause. */
const PATIENCE_MS = 10_000;

/** Pauses after failures without any progress; an attempt that brought something starts them anew. */
const RETRY_DELAYS_MS: readonly number[] = [500, 1000, 2000, 4000, 8000];

/**
 * @param name as the user gave it: a folder next to the page of that name is what is meant, if there is one
 * @throws SluiceError what `pullModel` throws
 */
export async function openReference(
  name: string,
  reference: HubReference,
  options: OpenModelOptions,
): Promise<FileSource> {
  await options.beforeFetching?.();
  const beside = reference.isExplicit ? null : await besideThePage(name, options.signal);
  if (beside) {
    options.onNotice?.(
      `${name} is read from the page's own server; the hub's model of that name would be hf://${name}`,
    );
    return beside;
  }
  const files = await openPageFiles();
  if (!files.isLasting) options.onNotice?.("This browser keeps no files for this page: the model is fetched each time");
  const store = new PageCache(files);
  const wanted = downloadOptions(store, options);
  if (options.streams) return streamModel(reference, wanted);
  const { commit, gguf } = await pullModel(reference, wanted);
  return openStored(reference, commit, gguf, wanted);
}

/** What this page's storage holds. */
export async function openCache(): Promise<PageCache> {
  return new PageCache(await openPageFiles());
}

/** A model's folder at that address, relative to the page; null if there is none. */
async function besideThePage(name: string, signal: AbortSignal | undefined): Promise<FileSource | null> {
  const files = await openSource(name).catch(() => null);
  const isThere = await files?.exists("config.json", signal).catch((error: unknown) => {
    if (error instanceof SluiceError && error.code === "aborted") throw error;
    // Whatever is wrong with that address, it is the hub's model that is meant.
    return false;
  });
  if (isThere) return files;
  await files?.close();
  return null;
}

function downloadOptions(store: PageCache, { hub = {}, signal, onNotice, onDownload }: OpenModelOptions): HubOptions {
  return {
    client: new HubClient({
      endpoint: (hub.endpoint ?? DEFAULT_ENDPOINT).replace(/\/+$/, ""),
      token: hub.token ?? null,
      redirects: "hidden",
      firstByteMs: PATIENCE_MS,
      stallMs: PATIENCE_MS,
      retryDelaysMs: RETRY_DELAYS_MS,
    }),
    store,
    isOffline: hub.offline ?? false,
    signal,
    note: onNotice ?? (() => undefined),
    onProgress: onDownload ?? (() => undefined),
  };
}
