/** What is kept of hub models: in Hugging Face's cache in Node, in the page's own storage in browsers. */
import { entry } from "../arguments/entry.ts";
import { path } from "../arguments/rules.ts";
import { SluiceError } from "../errors.ts";
import { showText } from "../show.ts";
import type { CachedModel, HubStore } from "./store.ts";

export const listModelsDoor = entry("listModels");
export const removeModelDoor = entry("removeModel", ["name", path]);

/**
 * The hub models that are kept on this machine or, in a page, in this browser, with the bytes that they take.
 * @throws SluiceError `not_found` if the cache cannot be read
 */
export async function listModels(): Promise<readonly CachedModel[]> {
  return (await theStore()).models();
}

/**
 * Removes a kept model, or one revision of it with what no other has.
 * @param name `org/name`, or `org/name@revision` with a branch, a tag or a commit
 * @returns bytes that became free
 * @throws SluiceError `not_found` if it is not kept, `not_written`
 */
export async function removeModel(name: string): Promise<number> {
  removeModelDoor.read(name);
  const store = await theStore();
  const { model, commit } = findCached(name, store, await store.models());
  return store.remove(model.repo, commit);
}

/** A kept model, or one revision of it. */
export interface FoundModel {
  readonly model: CachedModel;
  /** Undefined for all of them. */
  readonly commit: string | undefined;
}

/** @throws SluiceError `not_found` if it is not in the store */
export function findCached(name: string, store: HubStore, models: readonly CachedModel[]): FoundModel {
  // Not parseReference: Python's tools also keep models whose names have one word.
  const [, repo = "", wanted] = /^(?:hf:\/\/)?([^@]*)(?:@(.*))?$/s.exec(name) ?? [];
  const model = models.find((candidate) => candidate.repo === repo);
  if (!model) {
    throw new SluiceError("not_found", `${showText(name)} is not in ${store.label}`, {
      hint: "`sluice models list`, or listModels() of the library, shows what is.",
    });
  }
  if (wanted === undefined) return { model, commit: undefined };
  const isShort = /^[0-9a-f]{7,40}$/.test(wanted);
  const revision =
    model.revisions.find(({ refs }) => refs.includes(wanted)) ??
    model.revisions.find(({ commit }) => (isShort ? commit.startsWith(wanted) : commit === wanted));
  if (revision) return { model, commit: revision.commit };
  throw new SluiceError("not_found", `${repo} has no revision ${showText(wanted)} in ${store.label}`, {
    hint: `It has ${model.revisions.map(({ commit, refs }) => [...refs, commit].join(" = ")).join("; ")}.`,
  });
}

async function theStore(): Promise<HubStore> {
  // Bundlers for browsers swap this module for page-hub.ts (scripts/page-faces.json says so), hence the late import.
  const { openCache } = await import("./node-hub.ts");
  return openCache();
}
