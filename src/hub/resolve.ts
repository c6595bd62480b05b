/** From a name to a commit and the files that are needed of it: by the hub, or by what is in the store. */
import { SluiceError } from "../errors.ts";
import { weightFiles } from "../formats/huggingface.ts";
import type { HubClient } from "./client.ts";
import { HubError } from "./errors.ts";
import { FileFacts } from "./file-facts.ts";
import type { HubOptions } from "./hub-options.ts";
import {
  isWholeModel,
  type NeededFiles,
  neededFiles,
  PROBED_FILES,
  SINGLE_WEIGHTS,
  WEIGHTS_INDEX,
} from "./needed-files.ts";
import { NOTHING_YET } from "./progress.ts";
import { type HubReference, showReference } from "./reference.ts";
import type { FileHead } from "./repo-files.ts";
import type { HubStore } from "./store.ts";

/** A model that was found. */
export interface Resolution {
  readonly commit: string;
  /** Every path of the repository; or those that are in the store, if the hub was not asked. */
  readonly listing: readonly string[];
  /** Whether the listing is the hub's own, so that there is nothing else. */
  readonly isListed: boolean;
  readonly needed: NeededFiles;
  /** Paths that are in the store. */
  readonly kept: ReadonlySet<string>;
  /** What the hub says of the files; null if it was not asked, and all that is there is in the store. */
  readonly facts: FileFacts | null;
}

const COMMIT = /^[0-9a-f]{40}$/;

/**
 * Asks the hub, so that a branch that has moved is noticed. If it cannot be asked, a model in the store serves.
 * @throws SluiceError `not_found` if there is neither
 */
export async function resolveModel(reference: HubReference, options: HubOptions): Promise<Resolution> {
  if (!options.isOffline) options.onProgress(NOTHING_YET);
  const cached = await findCached(reference, options);
  if (options.isOffline) {
    if (cached?.isWhole) return cached.resolution;
    throw notCached(reference, options.store, cached !== null);
  }
  // What a commit has never changes.
  if (cached?.isWhole && COMMIT.test(reference.revision) && cached.hasTokenizer) return cached.resolution;
  try {
    return await askHub(reference, options, cached?.isWhole ?? false);
  } catch (error) {
    if (!cached?.isWhole || !(error instanceof SluiceError) || error.code !== "not_found") throw error;
    if (error instanceof HubError && error.kind === "missing_revision") throw error;
    options.note(`${showReference(reference)} is taken from the cache as it is: ${error.message.split("\n")[0]}`);
    return cached.resolution;
  }
}

interface Cached {
  readonly resolution: Resolution;
  readonly isWhole: boolean;
  readonly hasTokenizer: boolean;
}

async function findCached(reference: HubReference, { store, signal }: HubOptions): Promise<Cached | null> {
  const { repo, revision } = reference;
  const commit = COMMIT.test(revision) ? revision : await store.commitOf(repo, revision);
  if (commit === null) return null;
  const names = [...(await store.files(repo, commit)).keys()];
  if (names.length === 0) return null;
  const isSharded = names.includes(WEIGHTS_INDEX) && !names.includes(SINGLE_WEIGHTS);
  const isWhole = isWholeModel(names, reference, isSharded ? await shardsOf(store, repo, commit, signal) : null);
  const needed = isWhole ? neededFiles(names, reference, reference.repo) : NOTHING_NEEDED;
  const hasTokenizer =
    needed.gguf !== null || names.some((name) => /^(?:tokenizer\.(?:json|model)|vocab\.json)$/.test(name));
  const kept = new Set(names);
  return { resolution: { commit, listing: names, isListed: false, needed, kept, facts: null }, isWhole, hasTokenizer };
}

const NOTHING_NEEDED: NeededFiles = { small: [], weights: [], index: null, gguf: null, notice: null };

/** The files that the index in the store names. */
export async function shardsOf(
  store: HubStore,
  repo: string,
  commit: string,
  signal: AbortSignal | undefined,
): Promise<readonly string[]> {
  const files = await store.open(repo, commit);
  try {
    return (await weightFiles(files, signal)).names;
  } finally {
    await files.close();
  }
}

async function askHub(reference: HubReference, options: HubOptions, isQuick: boolean): Promise<Resolution> {
  const { client, store, signal } = options;
  const { repo, revision } = reference;
  const info = await client.info(repo, revision, signal, isQuick).catch((error: unknown) => {
    if (error instanceof HubError && error.kind === "unserved") return error;
    throw error;
  });
  if (info instanceof HubError) return probe(reference, options, info);
  const facts = new FileFacts(client, repo, info.commit, revision, signal);
  const listing = info.files?.map(({ path }) => path) ?? (await facts.names());
  if (!listing) return probe(reference, options, null);
  const needed = neededFiles(listing, reference, repo);
  const kept = new Set((await store.files(repo, info.commit)).keys());
  return { commit: info.commit, listing, isListed: true, needed, kept, facts };
}

/** A server that lists nothing is asked for each file that a model can have. */
async function probe(reference: HubReference, options: HubOptions, refusal: HubError | null): Promise<Resolution> {
  const { client, store, signal } = options;
  const { repo, revision, file, quantization } = reference;
  const names = file === null ? PROBED_FILES : [file];
  const known = COMMIT.test(revision) ? revision : await store.commitOf(repo, revision);
  const heads = new Map<string, FileHead>();
  const absent: string[] = [];
  const ask = async (path: string): Promise<void> => {
    if (known !== null && COMMIT.test(revision) && (await store.isAbsent(repo, known, path))) return;
    const head = await client.head({ repo, commit: revision, path }, signal);
    if (head) heads.set(path, head);
    else absent.push(path);
  };
  // The first answer says whether there is such a model at all.
  await ask(names[0] as string);
  await Promise.all(names.slice(1).map(ask));
  if (heads.size === 0 || quantization !== null) throw refusal ?? unlisted(reference, client);
  const commit = COMMIT.test(revision) ? revision : ([...heads.values()].find((head) => head.commit)?.commit ?? null);
  if (commit === null) throw unlisted(reference, client);
  for (const path of absent) await store.setAbsent(repo, commit, path);
  const listing = [...heads.keys()];
  const facts = new FileFacts(client, repo, revision, revision, signal, heads);
  const kept = new Set((await store.files(repo, commit)).keys());
  return { commit, listing, isListed: false, needed: neededFiles(listing, reference, repo), kept, facts };
}

function unlisted(reference: HubReference, client: HubClient): SluiceError {
  const problem = `${showReference(reference)}: ${client.access.endpoint} neither lists its files nor says which commit it is at`;
  return new SluiceError("not_found", problem, {
    hint: "Check HF_ENDPOINT, or give the address of the model's folder.",
  });
}

function notCached(reference: HubReference, store: HubStore, isPart: boolean): SluiceError {
  const problem = isPart ? "only a part of it is" : "it is not";
  return new SluiceError(
    "not_found",
    `${showReference(reference)} would have to be downloaded: ${problem} in ${store.label}`,
    {
      hint: "HF_HUB_OFFLINE is set, so the hub is not asked. Unset it, or name a model that `sluice models list` shows.",
    },
  );
}
