/**
 * What the tuner found, kept from one run to the next: a file (node-store.ts) or a record of IndexedDB (page-store.ts) for
 * each adapter. It holds for one version of the engine, since other kernels take other times.
 */
import { Sha256 } from "../formats/sha256.ts";
import type { DeviceProfile } from "../gpu/profile.ts";
import { engineVersion } from "../kernels/engine-version.gen.ts";
import { type KernelChoices, type RowBucket, rowBuckets } from "../kernels/variants.ts";

/** A place for small texts by name. */
export interface TuningStore {
  /** Where a text is, for people. */
  place(name: string): string;
  /** Null where there is none. */
  read(name: string): Promise<string | null>;
  /** Whole or not at all. */
  write(name: string, text: string): Promise<void>;
}

const FORMAT = 1;

/** What choices hold for. */
interface Identity {
  readonly engine: string;
  /** Everything that the adapter tells of itself, as text. */
  readonly adapter: string;
}

/** @param onNotice told of a damaged or foreign record, which is emptied, and of a store that cannot be used */
export async function recall(
  store: TuningStore,
  device: DeviceProfile,
  onNotice: (message: string) => void,
  engine = engineVersion,
): Promise<KernelChoices> {
  const identity = identify(device, engine);
  const name = nameFor(identity);
  let text: string | null;
  try {
    text = await store.read(name);
  } catch (error) {
    onNotice(`What was measured of kernels before cannot be read: ${messageOf(error)}`);
    return {};
  }
  if (text === null) return {};
  const record = parse(text);
  if (record && record.adapter === identity.adapter) return record.engine === engine ? record.choices : {};
  const what = record ? "is of another device" : "is damaged";
  onNotice(`${store.place(name)} ${what}: it is ignored, and written anew. \`sluice tune\` measures again.`);
  await save(store, identity, {}, onNotice);
  return {};
}

/**
 * Adds to what is remembered. A store that cannot be written is worth a notice and no failure.
 * @returns all that is known now
 */
export async function remember(
  store: TuningStore,
  device: DeviceProfile,
  choices: KernelChoices,
  onNotice: (message: string) => void,
  engine = engineVersion,
): Promise<KernelChoices> {
  // Another process may have remembered something meanwhile.
  const known = await recall(store, device, onNotice, engine);
  const merged: Record<string, KernelChoices[string]> = { ...known };
  for (const [key, own] of Object.entries(choices)) merged[key] = { ...known[key], ...own };
  await save(store, identify(device, engine), merged, onNotice);
  return merged;
}

async function save(
  store: TuningStore,
  identity: Identity,
  choices: KernelChoices,
  onNotice: (message: string) => void,
): Promise<void> {
  try {
    await store.write(nameFor(identity), `${JSON.stringify({ format: FORMAT, ...identity, choices }, null, 1)}\n`);
  } catch (error) {
    onNotice(`What was measured of kernels cannot be kept: ${messageOf(error)}`);
  }
}

function identify(
  { vendor, architecture, device, description, backend, limits, features }: DeviceProfile,
  engine: string,
): Identity {
  return {
    engine,
    adapter: JSON.stringify({ vendor, architecture, device, description, backend, limits, features }),
  };
}

function nameFor({ adapter }: Identity): string {
  const hash = new Sha256();
  hash.update(new TextEncoder().encode(adapter));
  return `tuning-${hash.hex().slice(0, 16)}.json`;
}

/** Null for what this module did not write. */
function parse(text: string): (Identity & { readonly choices: KernelChoices }) | null {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return null;
  }
  if (!isRecord(json) || json.format !== FORMAT) return null;
  const { engine, adapter, choices } = json;
  if (typeof engine !== "string" || typeof adapter !== "string" || !isRecord(choices)) return null;
  const read: Record<string, Partial<Record<RowBucket, string>>> = Object.create(null);
  for (const [key, own] of Object.entries(choices)) {
    if (!isRecord(own)) return null;
    const variants: Partial<Record<RowBucket, string>> = {};
    for (const [bucket, variant] of Object.entries(own)) {
      const known = rowBuckets.find((each) => each === bucket);
      if (known === undefined || typeof variant !== "string") return null;
      variants[known] = variant;
    }
    read[key] = variants;
  }
  return { engine, adapter, choices: { ...read } };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
