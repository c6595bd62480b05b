/**
 * Reads files of torch.save as data: the zip format of PyTorch 1.6 and later, the one before it, and pickles without
 * tensors. Nothing in them is run (`pickle.ts`).
 */
import { textIn } from "../../show.ts";
import { type ElementType, elementBytes, type Storage } from "../strided.ts";
import { ZipFile } from "../zip.ts";
import { knownGlobal, StorageReference, StorageType } from "./globals.ts";
import { type PickleFormat, PickleReader, type PickleValue } from "./pickle.ts";

/** The first number of files from before PyTorch 1.6. */
const LEGACY_MAGIC = 0x1950a86a20f9469cfc6cn;
const LEGACY_VERSION = 1001;

/** Whether a file begins as those of torch.save do, or as a pickle. */
export function isTorchFile([first = 0, second = 0]: Uint8Array): boolean {
  return (first === 0x50 && second === 0x4b) || (first === 0x80 && second >= 2 && second <= 5);
}

/**
 * What the file holds.
 * @param where names the file in errors
 * @throws `bad_file` for a damaged file, and for one that holds anything but data
 */
export function readTorchFile(bytes: Uint8Array, where: string): PickleValue {
  return bytes[0] === 0x50 ? readZip(new ZipFile(bytes, where), where) : readStream(bytes, where);
}

function readZip(zip: ZipFile, where: string): PickleValue {
  const name = zip.names.find((entry) => /^[^/]+\/data\.pkl$/.test(entry));
  if (name === undefined) {
    throw new PickleReader(new Uint8Array(0), where, withoutTensors).bad(
      "is a zip archive that torch.save did not write",
    );
  }
  const root = name.slice(0, -"data.pkl".length);
  const order = zip.has(`${root}byteorder`)
    ? String.fromCharCode(...zip.stored(`${root}byteorder`).subarray(0, 3))
    : "";
  const storages = new Storages((key, dtype, count, reader) => {
    const bytes = zip.stored(`${root}data/${key}`);
    if (count * elementBytes(dtype) > bytes.length) throw reader.bad(`has storage ${key} shorter than it says`);
    return { dtype, count, isBigEndian: order === "big", bytes };
  });
  return new PickleReader(zip.stored(name), where, storages.format).read();
}

/** Several pickles, then the storages: how files were before PyTorch 1.6. Without their first number: one plain pickle. */
function readStream(bytes: Uint8Array, where: string): PickleValue {
  const storages = new Storages((_key, dtype, count) => ({ dtype, count, isBigEndian: false, bytes: null }));
  const reader = new PickleReader(bytes, where, withoutTensors);
  const first = reader.read();
  if (first !== LEGACY_MAGIC) return first;
  if (reader.read() !== LEGACY_VERSION) throw reader.bad("is of an unknown version of torch.save");
  const system = reader.read();
  if (system instanceof Map && system.get("little_endian") === false) {
    throw reader.bad("was written by a big-endian machine, which is not read");
  }
  const body = new PickleReader(bytes, where, storages.format, reader.at);
  const value = body.read();
  const keys = body.read();
  if (!Array.isArray(keys)) throw body.bad("does not list its storages");
  for (const key of keys) {
    const storage = storages.get(textIn(key));
    const count = body.u64();
    if (!storage || storage.count !== count) throw body.bad("contradicts itself about its storages");
    storage.bytes = body.bytes(count * elementBytes(storage.dtype));
  }
  if (storages.some(({ bytes: filled }) => filled === null)) throw body.bad("lacks a storage");
  return value;
}

const withoutTensors: PickleFormat = { global: knownGlobal };

type OpenStorage = (key: string, dtype: ElementType, count: number, reader: PickleReader) => Storage;

/** The storages of a file by their keys; several tensors may share one. */
class Storages {
  readonly #open: OpenStorage;
  readonly #byKey = new Map<string, Storage>();
  readonly format: PickleFormat;

  constructor(open: OpenStorage) {
    this.#open = open;
    this.format = { global: knownGlobal, persistentId: (id, reader) => new StorageReference(this.#refer(id, reader)) };
  }

  get(key: string): Storage | undefined {
    return this.#byKey.get(key);
  }

  some(test: (storage: Storage) => boolean): boolean {
    return [...this.#byKey.values()].some(test);
  }

  /** ("storage", type, key, device, count), and in old files a view of another storage, which nothing writes any more. */
  #refer(id: PickleValue, reader: PickleReader): Storage {
    const [what, type, key, , count, view] = Array.isArray(id) ? id : [];
    const isCount = typeof count === "number" && Number.isSafeInteger(count) && count >= 0;
    if (what !== "storage" || !(type instanceof StorageType) || typeof key !== "string" || !isCount) {
      throw reader.bad("refers to a storage in an unknown way");
    }
    if (view !== undefined && view !== null) throw reader.bad("has a storage that is a view of another: save it again");
    const known = this.#byKey.get(key);
    if (known) {
      if (known.dtype !== type.dtype || known.count !== count)
        throw reader.bad(`contradicts itself about storage ${key}`);
      return known;
    }
    const storage = this.#open(key, type.dtype, count, reader);
    this.#byKey.set(key, storage);
    return storage;
  }
}
