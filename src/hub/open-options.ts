/** How a model's files are opened. */
import type { DownloadListener } from "./progress.ts";

/** Where models of the hub come from. */
export interface HubChoice {
  /**
   * The hub's address. Default: `HF_ENDPOINT` of the environment, or https://huggingface.co; a page has no environment.
   */
  readonly endpoint?: string;
  /** An access token, for private and gated models; sent to that address only. Default: as Hugging Face's tools find it. */
  readonly token?: string;
  /** Ask nobody: only what is kept already is used. Default: `HF_HUB_OFFLINE` of the environment. */
  readonly offline?: boolean;
}

export interface OpenModelOptions {
  readonly hub?: HubChoice | undefined;
  /** Awaited before anything is asked for over a network. */
  readonly beforeFetching?: (() => Promise<void>) | undefined;
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
