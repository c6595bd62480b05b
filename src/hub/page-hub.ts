/**
 * The browser's counterpart of node-hub.ts: models of huggingface.co, or of the hub that `hub.endpoint` names, kept in
 * the page's own storage.
 */
import { SluiceError } from "../errors.ts";
import { openSource } from "../formats/open-source.ts";
import { pageBase } from "../formats/page-base.ts";
import type { FileSource } from "../formats/source.ts";
import { fetchFile } from "../formats/url-fetch.ts";
import { HubClient } from "./client.ts";
import type { HubOptions } from "./hub-options.ts";
import { openStored, pullModel, streamModel } from "./open-hub.ts";
import type { OpenModelOptions } from "./open-options.ts";
import { PageCache } from "./page-cache.ts";
import { openPageFiles } from "./page-files.ts";
import type { HubReference } from "./reference.ts";
import type { HubAccess } from "./request.ts";

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
  if (!reference.isExplicit && (await isBesideThePage(name, reference, options.signal))) {
    options.onNotice?.(
      `${name} is read from the page's own server; the hub's model of that name would be hf://${name}`,
    );
    return openSource(name);
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

/** Whether there is a model at that address, relative to the page. */
async function isBesideThePage(
  name: string,
  { file }: HubReference,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const page = pageBase() ?? "";
  const address = file === null ? `${name}/config.json` : name;
  if (!/^https?:/.test(page) || !URL.canParse(address, page)) return false;
  try {
    // Asked once: without a network the model that is kept is to be there at once.
    const answer = await fetchFile(new URL(address, page), name, { range: [0, 1] }, signal);
    await answer?.body.cancel();
    return answer !== null;
  } catch (error) {
    if (error instanceof SluiceError && error.code === "aborted") throw error;
    // Whatever is wrong with that address, it is the hub's model that is meant.
    return false;
  }
}

function downloadOptions(store: PageCache, { hub = {}, signal, onNotice, onDownload }: OpenModelOptions): HubOptions {
  const access: HubAccess = {
    endpoint: (hub.endpoint ?? DEFAULT_ENDPOINT).replace(/\/+$/, ""),
    token: hub.token ?? null,
    redirects: "hidden",
    firstByteMs: PATIENCE_MS,
    stallMs: PATIENCE_MS,
    retryDelaysMs: RETRY_DELAYS_MS,
  };
  return {
    client: new HubClient(access, onNotice),
    store,
    isOffline: hub.offline ?? false,
    signal,
    note: onNotice ?? (() => undefined),
    onProgress: onDownload ?? (() => undefined),
  };
}
