/** A hub with small models, and a cache for one test. Node only. */
import { readdir, readlink, stat } from "node:fs/promises";
import { join } from "node:path";
import { HubClient } from "../../src/hub/client.ts";
import type { HubOptions } from "../../src/hub/hub-options.ts";
import { NodeCache } from "../../src/hub/node-cache.ts";
import { type PulledModel, pullModel } from "../../src/hub/open-hub.ts";
import { parseReference } from "../../src/hub/reference.ts";
import { FakeHub, type FakeRepo } from "../support/hub-server.ts";

export const OLD = "0123456789abcdef0123456789abcdef01234567";
export const NEW = "89abcdef0123456789abcdef0123456789abcdef";

/** Bytes that no compression and no accident would make. */
export function noise(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = seed;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

export const WEIGHTS = noise(3_000_000);

/** More than are fetched at a time, and longer than what is fetched of each for its header. */
export const SHARDS: readonly Uint8Array[] = Array.from({ length: 6 }, (_, i) => noise(1_200_000, 10 + i));

const index = JSON.stringify({
  weight_map: { a: "model-00001-of-00002.safetensors", b: "model-00002-of-00002.safetensors" },
});

/** Files are those of models by their names alone: nothing is loaded. */
export const repos: Readonly<Record<string, FakeRepo>> = {
  "org/single": {
    commits: [
      { sha: OLD, refs: ["v1"], files: { "config.json": "{}", "model.safetensors": noise(4000, 2), "README.md": "#" } },
      {
        sha: NEW,
        refs: ["refs/pr/1"],
        files: {
          "README.md": "#",
          "config.json": '{"new": true}',
          "model.safetensors": WEIGHTS,
          "onnx/model.onnx": noise(5000),
          "pytorch_model.bin": noise(5000),
          "tokenizer.json": noise(2500, 3),
          "tokenizer_config.json": "{}",
          "vocab.json": "{}",
        },
      },
    ],
  },
  "org/sharded": {
    commits: [
      {
        sha: NEW,
        files: {
          "config.json": "{}",
          "model.safetensors.index.json": index,
          "model-00001-of-00002.safetensors": noise(300_000, 4),
          "model-00002-of-00002.safetensors": noise(300_000, 5),
          "model-00003-of-00003.safetensors": noise(3000, 6),
        },
      },
    ],
  },
  "org/many": {
    commits: [
      {
        sha: NEW,
        files: {
          "config.json": "{}",
          "model.safetensors.index.json": JSON.stringify({
            weight_map: Object.fromEntries(SHARDS.map((_, i) => [`t${i}`, `model-${i}.safetensors`])),
          }),
          ...Object.fromEntries(SHARDS.map((shard, i) => [`model-${i}.safetensors`, shard])),
          "model-9.safetensors": "not named by the index",
        },
      },
    ],
  },
  "org/gguf": { commits: [{ sha: NEW, files: { "a-Q4_K_M.gguf": noise(9000, 7), "a-Q8_0.gguf": noise(9000, 8) } }] },
  "org/pickle": { commits: [{ sha: NEW, files: { "config.json": "{}", "pytorch_model.bin": noise(5000) } }] },
  "org/gated": {
    access: "gated",
    commits: [{ sha: NEW, files: { "config.json": "{}", "model.safetensors": WEIGHTS } }],
  },
  "org/private": {
    access: "private",
    commits: [{ sha: NEW, files: { "config.json": "{}", "model.safetensors": noise(4000) } }],
  },
};

/** Starts a hub for all tests of a file. */
export function startHub(): Promise<FakeHub> {
  return FakeHub.start(repos);
}

export interface Pulled extends PulledModel {
  readonly notices: readonly string[];
}

export interface PullChoices extends Partial<HubOptions> {
  readonly token?: string;
  /** Milliseconds of both deadlines. */
  readonly patienceMs?: number;
  readonly retryDelaysMs?: readonly number[];
  readonly links?: boolean;
}

export function optionsFor(hub: FakeHub, folder: string, choices: PullChoices = {}): HubOptions {
  const { token = null, patienceMs = 5000, retryDelaysMs = [1, 1, 1], links = true, ...rest } = choices;
  return {
    client: new HubClient({
      endpoint: hub.url,
      token,
      redirects: "seen",
      firstByteMs: patienceMs,
      stallMs: patienceMs,
      retryDelaysMs,
    }),
    store: new NodeCache(folder, links),
    isOffline: false,
    signal: undefined,
    note: () => undefined,
    onProgress: () => undefined,
    ...rest,
  };
}

/** Fetches a model into a cache, quick to give up. */
export async function pull(hub: FakeHub, folder: string, name: string, choices: PullChoices = {}): Promise<Pulled> {
  const reference = parseReference(name);
  if (!reference) throw new Error(`${name} is no reference`);
  const notices: string[] = [];
  const note = (text: string): void => void notices.push(text);
  return { ...(await pullModel(reference, { ...optionsFor(hub, folder, choices), note })), notices };
}

/** Every file below a folder with its bytes, and every link with where it leads, sorted. */
export async function tree(folder: string): Promise<Record<string, number | string>> {
  const found: Record<string, number | string> = {};
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isSymbolicLink()) found[path.slice(folder.length + 1)] = `-> ${await readlink(path)}`;
    else if (entry.isFile()) found[path.slice(folder.length + 1)] = (await stat(path)).size;
  }
  return Object.fromEntries(Object.entries(found).sort(([a], [b]) => (a < b ? -1 : 1)));
}
