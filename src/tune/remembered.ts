/**
 * The tuner's choices, kept between runs: a file (node-store.ts) or a record of IndexedDB (page-store.ts) per
 * adapter. It is valid for one version of the engine, since other kernels take other times.
 */
import { Sha256 } from "../formats/sha256.ts";
import type { DeviceProfile } from "../gpu/profile.ts";
import { engineVersion } from "../kernels/engine-version.gen.ts";
import { type KernelChoices, type RowBucket, rowBuckets } from "../kernels/variants.ts";

/** A place for small texts by name. */
export interface TuningStore {
  /** Where a text is stored, for messages. */
  place(name: string): string;
  /** Null if there is none. */
  read(name: string): Promise<string | null>;
  /** Writes the text completely or not at all. */
  write(name: string, text: string): Promise<void>;
}

const FORMAT = 1;

/** What the choices are valid for. */
interface Identity {
  readonly engine: string;
  /** Everything that the adapter reports about itself, as text. */
  readonly adapter: string;
}

/** @param onNotice called for a damaged or foreign record, which is emptied, and for a store that cannot be used */
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
    onNotice(`Earlier measurements of kernels cannot be read: ${messageOf(error)}`);
    return {};
  }
  if (text === null) return {};
  const record = parse(text);
  if (record && record.adapter === identity.adapter) return record.engine === engine ? record.choices : {};
  const what = record ? "belongs to another device" : "is damaged";
  onNotice(`${store.place(name)} ${what}: it is ignored and replaced. Tuning measures again.`);
  await save(store, identity, {}, onNotice);
  return {};
}

/**
 * Adds to the stored choices. A store that cannot be written causes a notice, not a failure.
 * @returns all choices known now
 */
export async function remember(
  store: TuningStore,
  device: DeviceProfile,
  choices: KernelChoices,
  onNotice: (message: string) => void,
  engine = engineVersion,
): Promise<KernelChoices> {
  // Another process may have stored choices meanwhile.
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
    onNotice(`Measurements of kernels cannot be stored: ${messageOf(error)}`);
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

/** Null if this module did not write the text. */
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
