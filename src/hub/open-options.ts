/** How a model's files are opened. */
import type { DownloadListener } from "./progress.ts";

export interface OpenModelOptions {
  readonly signal?: AbortSignal | undefined;
  /** Receives notices for the user. */
  readonly onNotice?: ((text: string) => void) | undefined;
  /** Called while files of a hub are fetched. */
  readonly onDownload?: DownloadListener | undefined;
  /**
   * Whether files may be read before they are verified, as they come from a hub; the caller then awaits the source's
   * `settle`. Default: they are fetched to the end first.
   */
  readonly streams?: boolean;
}
