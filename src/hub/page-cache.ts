/**
 * Hub models in a page's own storage, in the manner of Hugging Face's cache:
 *
 *   models--ORG--NAME/used                       when it was last opened: the file's own date
 *   models--ORG--NAME/blobs/ETAG/…               contents: see page-content.ts
 *   models--ORG--NAME/snapshots/COMMIT/PATH      names of contents, with their bytes, as JSON
 *   models--ORG--NAME/refs/REVISION              the commit of a branch or tag
 *   models--ORG--NAME/no_exist/COMMIT/PATH       files that a commit does not have
 *
 * Revisions and paths are one name each, percent-encoded.
 */
import { SluiceError } from "../errors.ts";
import type { FileSource } from "../formats/source.ts";
import { ContentReader, PagePartial, partialBytes, wholeParts } from "./page-content.ts";
import type { PageFiles } from "./page-files.ts";
import { takeLock } from "./page-lock.ts";
import { PageModelFiles } from "./page-model-files.ts";
import { MAKE_ROOM, writing } from "./page-refusal.ts";
import type { CachedFile, CachedModel, CachedRevision, HubStore, PartialFile, StoredFile } from "./store.ts";

const FOLDER = /^models--([^/]+?)--(.+)$/;

export class PageCache implements HubStore {
  readonly label = "this browser";
  readonly #files: PageFiles;

  constructor(files: PageFiles) {
    this.#files = files;
  }

  async commitOf(repo: string, revision: string): Promise<string | null> {
    return (await this.#files.read(refPath(repo, revision)))?.text() ?? null;
  }

  async setCommit(repo: string, revision: string, commit: string): Promise<void> {
    if (revision === commit || (await this.commitOf(repo, revision)) === commit) return;
    await writing(() => this.#files.write(refPath(repo, revision), commit));
  }

  async files(repo: string, commit: string): Promise<ReadonlyMap<string, number>> {
    return new Map((await this.#filesOf(repo, commit)).map(({ path, bytes }) => [path, bytes]));
  }

  async isAbsent(repo: string, commit: string, path: string): Promise<boolean> {
    return (await this.#files.read(absentPath(repo, commit, path))) !== null;
  }

  async setAbsent(repo: string, commit: string, path: string): Promise<void> {
    await writing(() => this.#files.write(absentPath(repo, commit, path), ""));
  }

  async link(file: StoredFile): Promise<boolean> {
    const parts = await wholeParts(this.#files, contentPath(file));
    if (!parts) return false;
    await this.#name(file, parts);
    return true;
  }

  /** Also asks the browser to keep what is there when it needs room, which it may do or not. */
  async checkRoom(bytes: number): Promise<void> {
    const { storage } = navigator;
    if (bytes === 0 || !this.#files.isLasting || !storage?.estimate) return;
    // Not awaited: some browsers ask their user.
    storage.persist?.().catch(() => undefined);
    const { quota, usage = 0 } = await storage.estimate();
    if (quota === undefined || quota - usage >= bytes) return;
    const gigabytes = (count: number): string => `${(count / 1e9).toFixed(2)} GB`;
    throw new SluiceError(
      "not_written",
      `This browser has no room for the download: it needs ${gigabytes(bytes)}, and ` +
        `${gigabytes(Math.max(0, quota - usage))} are left to this site`,
      { hint: MAKE_ROOM },
    );
  }

  async openPartial(
    file: StoredFile,
    signal: AbortSignal | undefined,
    onWait: () => void,
  ): Promise<PartialFile | null> {
    const folder = contentPath(file);
    if (await wholeParts(this.#files, folder)) return null;
    const release = await takeLock(`sluice ${folder}`, signal, onWait);
    try {
      // Another page may have fetched it meanwhile.
      if (await wholeParts(this.#files, folder)) {
        release();
        return null;
      }
      const place = async () => this.#name(file, (await wholeParts(this.#files, folder)) ?? []);
      return await PagePartial.open(this.#files, folder, place, release);
    } catch (error) {
      release();
      throw error;
    }
  }

  async open(repo: string, commit: string): Promise<FileSource> {
    // That it cannot be noted when it was used does not keep it from being used.
    await this.#files.write(`${folderOf(repo)}/used`, "").catch(() => undefined);
    return new PageModelFiles(`${repo} in ${this.label}`, {
      paths: async () => [...(await this.files(repo, commit)).keys()],
      content: (path) => this.#content(repo, commit, path),
    });
  }

  async models(): Promise<readonly CachedModel[]> {
    const models: CachedModel[] = [];
    for (const folder of await this.#files.list("")) {
      const [, org, name] = FOLDER.exec(folder) ?? [];
      if (org !== undefined && name !== undefined) models.push(await this.#model(`${org}/${name}`));
    }
    return models.sort((a, b) => (a.repo < b.repo ? -1 : 1));
  }

  async remove(repo: string, commit?: string): Promise<number> {
    const before = await this.#model(repo);
    if (commit === undefined) {
      await writing(() => this.#files.remove(folderOf(repo)));
      return before.bytes + before.partialBytes;
    }
    await writing(() => this.#files.remove(`${folderOf(repo)}/snapshots/${commit}`));
    for (const revision of before.revisions.find((known) => known.commit === commit)?.refs ?? []) {
      await writing(() => this.#files.remove(refPath(repo, revision)));
    }
    const after = await this.#model(repo);
    const kept = new Set(after.revisions.flatMap(({ files }) => files.map(({ etag }) => etag)));
    for (const etag of await this.#files.list(`${folderOf(repo)}/blobs`)) {
      if (!kept.has(etag)) await writing(() => this.#files.remove(contentPath({ repo, etag })));
    }
    return before.bytes + before.partialBytes - after.bytes;
  }

  async discard(repo: string, etag: string): Promise<void> {
    const { revisions } = await this.#model(repo);
    for (const { commit, files } of revisions) {
      for (const file of files) {
        if (file.etag === etag) await writing(() => this.#files.remove(namePath(repo, commit, file.path)));
      }
    }
    await writing(() => this.#files.remove(contentPath({ repo, etag })));
  }

  async #content(repo: string, commit: string, path: string): Promise<ContentReader | null> {
    const text = await (await this.#files.read(namePath(repo, commit, path)))?.text();
    if (!text) return null;
    const folder = contentPath({ repo, etag: (JSON.parse(text) as Named).etag });
    const parts = await wholeParts(this.#files, folder);
    return parts && new ContentReader(this.#files, folder, parts);
  }

  async #model(repo: string): Promise<CachedModel> {
    const folder = folderOf(repo);
    const revisions: CachedRevision[] = [];
    const refs = new Map<string, string>();
    for (const ref of await this.#files.list(`${folder}/refs`)) {
      refs.set(decodeURIComponent(ref), (await (await this.#files.read(`${folder}/refs/${ref}`))?.text()) ?? "");
    }
    const contents = new Map<string, number>();
    for (const commit of await this.#files.list(`${folder}/snapshots`)) {
      const files = await this.#filesOf(repo, commit);
      for (const { etag, bytes } of files) contents.set(etag, bytes);
      const at = [...refs].filter(([, target]) => target === commit).map(([ref]) => ref);
      revisions.push({ commit, refs: at.sort(), files });
    }
    let unfinished = 0;
    for (const etag of await this.#files.list(`${folder}/blobs`)) {
      const content = contentPath({ repo, etag });
      if (!(await wholeParts(this.#files, content))) unfinished += await partialBytes(this.#files, content);
    }
    const used = (await this.#files.read(`${folder}/used`)) as Partial<File> | null;
    return {
      repo,
      where: this.label,
      bytes: [...contents.values()].reduce((sum, bytes) => sum + bytes, 0),
      partialBytes: unfinished,
      lastUsed: used?.lastModified === undefined ? null : new Date(used.lastModified),
      revisions,
    };
  }

  async #filesOf(repo: string, commit: string): Promise<readonly (CachedFile & { readonly etag: string })[]> {
    const names = await this.#files.list(`${folderOf(repo)}/snapshots/${commit}`);
    const found = await Promise.all(
      names.map(async (name) => {
        const text = await (await this.#files.read(`${folderOf(repo)}/snapshots/${commit}/${name}`))?.text();
        return text ? [{ path: decodeURIComponent(name), ...(JSON.parse(text) as Named) }] : [];
      }),
    );
    return found.flat();
  }

  /** Makes a content the file of a commit. */
  async #name({ repo, commit, path, etag }: StoredFile, parts: readonly number[]): Promise<void> {
    const named: Named = { etag, bytes: parts.reduce((sum, length) => sum + length, 0) };
    await writing(() => this.#files.write(namePath(repo, commit, path), JSON.stringify(named)));
  }
}

/** What a commit's file is. */
interface Named {
  readonly etag: string;
  readonly bytes: number;
}

/** `org/name` → `models--org--name` */
function folderOf(repo: string): string {
  return ["models", ...repo.split("/")].join("--");
}

function contentPath({ repo, etag }: Pick<StoredFile, "repo" | "etag">): string {
  return `${folderOf(repo)}/blobs/${etag}`;
}

function namePath(repo: string, commit: string, path: string): string {
  return `${folderOf(repo)}/snapshots/${commit}/${encodeURIComponent(path)}`;
}

function refPath(repo: string, revision: string): string {
  return `${folderOf(repo)}/refs/${encodeURIComponent(revision)}`;
}

function absentPath(repo: string, commit: string, path: string): string {
  return `${folderOf(repo)}/no_exist/${commit}/${encodeURIComponent(path)}`;
}
