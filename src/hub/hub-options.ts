/** What finding and fetching a model needs: whom to ask, where to keep, whom to tell. */
import type { HubClient } from "./client.ts";
import type { DownloadListener } from "./progress.ts";
import type { HubStore } from "./store.ts";

export interface HubOptions {
  readonly client: HubClient;
  readonly store: HubStore;
  /** Ask nobody. */
  readonly isOffline: boolean;
  readonly signal: AbortSignal | undefined;
  /** Called from the first question on. */
  readonly onProgress: DownloadListener;
  note(text: string): void;
}
