/** Files that a model can do without, from servers that do not say whether they have them. */
import type { FileSource } from "./source.ts";
import { WithheldFile } from "./url-fetch.ts";

/**
 * The same files, but those that the server withholds count as absent. For use once the model itself could be read,
 * which shows that neither the address nor the permission is wrong.
 * @param note receives a notice for each such file
 */
export function withoutWithheld(files: FileSource, note: (message: string) => void): FileSource {
  const noted = new Set<string>();
  return {
    label: files.label,
    describe: (path) => files.describe(path),
    async exists(path, signal) {
      try {
        return await files.exists(path, signal);
      } catch (error) {
        if (!(error instanceof WithheldFile)) throw error;
        if (!noted.has(path)) note(`${error.message.split("\n")[0]}; the model is loaded without this file`);
        noted.add(path);
        return false;
      }
    },
    size: (path, signal) => files.size(path, signal),
    read: (path, begin, end, signal) => files.read(path, begin, end, signal),
    readAll: (path, maxBytes, signal) => files.readAll(path, maxBytes, signal),
    json: async (path, signal) => files.json?.(path, signal),
    isForwardOnly: (path) => files.isForwardOnly(path),
    list: (folder) => files.list(folder),
    close: () => files.close(),
  };
}
