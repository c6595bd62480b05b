/** The model that is open: what it is called, how far its loading is, what is known of it. */
import { computed, signal } from "@preact/signals";
import type { Progress } from "sluice";
import { engine, type WorkerModel } from "../engine.ts";
import { type Failure, failureOf } from "./failure.ts";
import { server } from "./server.ts";

/** Models that come with the site. */
export const smallModels = [
  { id: "gpt2-stories", says: "4 layers: nursery tales and Shakespeare" },
  { id: "stories260K", says: "5 layers: a child's story, and a chat" },
  { id: "gpt-nano-sort", says: "3 layers: sorts six letters" },
] as const;

export type ModelChoice =
  | { readonly kind: "small"; readonly id: string }
  | { readonly kind: "named"; readonly id: string }
  | { readonly kind: "files"; readonly id: string; readonly files: readonly File[] };

export interface Loading {
  readonly id: string;
  readonly progress: Progress | null;
}

export const chosen = signal<ModelChoice | null>(null);
export const model = signal<WorkerModel | null>(null);
export const loading = signal<Loading | null>(null);
export const modelFailure = signal<Failure | null>(null);
/** What the engine told while it loaded: a software GPU, a tokenizer that cannot be read. */
export const notices = signal<readonly string[]>([]);

export const shape = computed(() => model.value?.config ?? null);
/** Whether the model reads text; without a tokenizer it takes ids. */
export const speaks = computed(() => model.value?.tokenizer != null);

let abort: AbortController | null = null;

/** Opens a model in place of the one that is open. Resolves when it is ready, or has failed. */
export async function openModel(choice: ModelChoice): Promise<void> {
  abort?.abort();
  const mine = new AbortController();
  abort = mine;
  modelFailure.value = null;
  notices.value = [];
  loading.value = { id: choice.id, progress: null };
  try {
    const opened = await (await engine()).load(sourceOf(choice), {
      signal: mine.signal,
      onProgress: (progress) => {
        if (abort === mine && loading.value) loading.value = { id: choice.id, progress };
      },
      onNotice: (notice) => {
        if (abort === mine) notices.value = [...new Set([...notices.value, notice])];
      },
    });
    if (abort !== mine) return opened.dispose();
    const previous = model.value;
    server.value = null;
    chosen.value = choice;
    model.value = opened;
    previous?.dispose();
  } catch (error) {
    if (abort === mine) modelFailure.value = failureOf(error, choice.id);
  } finally {
    if (abort === mine) loading.value = null;
  }
}

/** Frees the model: a server takes its place. */
export function closeModel(): void {
  stopLoading();
  model.value?.dispose();
  model.value = null;
  chosen.value = null;
  notices.value = [];
  modelFailure.value = null;
}

/** Stops loading; the model that was open stays. */
export function stopLoading(): void {
  abort?.abort();
  abort = null;
  loading.value = null;
}

function sourceOf(choice: ModelChoice): string | readonly File[] {
  if (choice.kind === "files") return choice.files;
  return choice.kind === "small" ? new URL(`models/${choice.id}/`, document.baseURI).href : choice.id;
}

/** What a text in the field Model means: a small model's name, or anything that the engine opens. */
export function choiceOf(text: string): ModelChoice {
  const id = text.trim();
  return { kind: smallModels.some((each) => each.id === id) ? "small" : "named", id };
}
