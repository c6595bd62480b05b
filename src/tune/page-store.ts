/** A page's store of the tuner's choices: IndexedDB of its origin. node-store.ts is its counterpart. */
import type { TuningStore } from "./remembered.ts";

const DATABASE = "sluice";
const TABLE = "tuning";

export function openStore(): TuningStore {
  return {
    place: (name) => `${name} in the database "${DATABASE}" of ${globalThis.origin}`,
    async read(name) {
      const found: unknown = await transact("readonly", (table) => table.get(name));
      return typeof found === "string" ? found : null;
    },
    async write(name, text) {
      await transact("readwrite", (table) => table.put(text, name));
    },
  };
}

/** One request in its own transaction; resolves when the write is stored. */
async function transact<Result>(
  mode: IDBTransactionMode,
  ask: (table: IDBObjectStore) => IDBRequest<Result>,
): Promise<Result> {
  const opening = indexedDB.open(DATABASE, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(TABLE);
  const database = await settled(opening);
  try {
    const transaction = database.transaction(TABLE, mode);
    const done = new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error);
    });
    const [result] = await Promise.all([settled(ask(transaction.objectStore(TABLE))), done]);
    return result;
  } finally {
    database.close();
  }
}

function settled<Result>(request: IDBRequest<Result>): Promise<Result> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
