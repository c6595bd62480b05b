/** Fetching a hub's model into the cache, with its progress on the terminal. */
import type { PulledFolder } from "../hub/node-hub.ts";
import type { HubReference } from "../hub/reference.ts";
import type { CommandContext } from "./context.ts";
import { formatSize } from "./pace.ts";

/** @throws SluiceError `not_found`, `not_written`, `bad_file`, `aborted` */
export async function fetchReference(
  reference: HubReference,
  { progress, signal, note }: CommandContext,
): Promise<PulledFolder> {
  const { pull } = await import("../hub/node-hub.ts");
  const whole = new Set<string>();
  const work = pull(reference, {
    signal,
    onNotice: note,
    onDownload({ done, total, kept, files }) {
      for (const file of files) {
        if (whole.has(file.path) || file.total === null || file.done < file.total) continue;
        whole.add(file.path);
        note(`${file.path}, ${formatSize(file.total)}`);
      }
      progress.count("downloading", { done, total, unit: "bytes", kept });
    },
  });
  return progress.during("asking the hub", work);
}

/** Fetches a model that is none of this machine, for commands that work on its files without showing how they come. */
export async function fetchModel(model: string, context: CommandContext): Promise<void> {
  const { parseReference } = await import("../hub/reference.ts");
  const reference = parseReference(model);
  if (!reference) return;
  const { isOnDisk } = await import("../hub/node-hub.ts");
  if (reference.isExplicit || !(await isOnDisk(model))) await fetchReference(reference, context);
}
