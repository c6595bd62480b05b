/** The task of gpt-nano-sort: all 729 lists of six letters, sorted with the circuit as it is cut. */
import { signal } from "@preact/signals";
import type { WorkerSession } from "../engine.ts";
import { engine } from "../engine.ts";
import { type Failure, failureOf } from "../state/failure.ts";
import { model } from "../state/model.ts";
import { shelfAddress } from "../state/shelf.ts";
import { type Means, STAGE } from "./bundle.ts";
import type { Graph } from "./graph.ts";
import { cut, graph } from "./state.ts";

const LETTERS = 6;
const BATCH = 243;
export const inputs = Array.from({ length: 3 ** LETTERS }, (_, i) =>
  Array.from({ length: LETTERS }, (_, place) => Math.floor(i / 3 ** (LETTERS - 1 - place)) % 3),
);
const answers = inputs.map((letters) => [...letters].sort().join(""));

export interface Sorted {
  /** Of {@link inputs}, what the model made of those that were run. */
  readonly outputs: readonly (readonly number[])[];
  readonly right: number;
}

export const sorted = signal<Sorted | null>(null);
export const isSorting = signal(false);
export const sortFailure = signal<Failure | null>(null);

let session: WorkerSession | null = null;
let owner: unknown = null;
let isDirty = false;
/** What the session was told of each edge. */
let told = new Set<number>();

export function isRight(input: number, output: readonly number[]): boolean {
  return output.join("") === answers[input];
}

/** Sorts all inputs with the edges that are cut now; a change meanwhile begins it again. */
export async function sortAll(): Promise<void> {
  isDirty = true;
  if (isSorting.value) return;
  isSorting.value = true;
  try {
    while (isDirty) {
      isDirty = false;
      await sortOnce();
    }
    sortFailure.value = null;
  } catch (error) {
    sortFailure.value = failureOf(error);
  } finally {
    isSorting.value = false;
  }
}

async function sortOnce(): Promise<void> {
  const shown = graph.value;
  if (!shown || !model.value) return;
  const open = await openSession(shown);
  const wanted = cut.value;
  const changes = shown.edges.filter(({ index }) => wanted.has(index) !== told.has(index));
  if (changes.length > 0) {
    await open.set(STAGE, {
      edges: changes.map(({ source, destination, index }) => [
        source.name,
        destination.name,
        wanted.has(index) ? 0 : 1,
      ]),
    });
    told = new Set(wanted);
  }
  const outputs: (readonly number[])[] = [];
  let right = 0;
  for (let first = 0; first < inputs.length && !isDirty; first += BATCH) {
    const results = await open.generateBatch(inputs.slice(first, first + BATCH), { maxNewTokens: LETTERS });
    for (const { tokens } of results) {
      if (isRight(outputs.length, tokens)) right += 1;
      outputs.push(tokens);
    }
    if (!isDirty) sorted.value = { outputs: [...outputs], right };
  }
}

async function openSession(shown: Graph): Promise<WorkerSession> {
  const opened = model.value;
  if (session && owner === opened) return session;
  if (!opened || shown.edges.length === 0) throw new Error("No model is open");
  const bytes = new Uint8Array(await (await fetch(shelfAddress("sort-edges.safetensors"))).arrayBuffer());
  const bundle = await (await engine()).readBundle(bytes, "sort-edges.safetensors");
  const edited = await opened.with([bundle]);
  const fresh = await edited.session({ sequences: BATCH, context: 2 * LETTERS - 1 });
  session = fresh;
  owner = opened;
  told = new Set();
  return fresh;
}

/** What takes the place of cut sources there: means over all inputs, from the bundle on the shelf. */
export async function sortingMeans(): Promise<Means | null> {
  const bytes = new Uint8Array(await (await fetch(shelfAddress("sort-edges.safetensors"))).arrayBuffer());
  const bundle = await (await engine()).readBundle(bytes, "sort-edges.safetensors");
  const stored = bundle.tensors.get(`${STAGE}.constants`);
  if (!stored) return null;
  return { data: new Float32Array(stored.bytes.slice().buffer), shape: stored.shape };
}
