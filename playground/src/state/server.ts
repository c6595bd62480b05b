/** The server that answers instead of this page's GPU, if one does. */
import { signal } from "@preact/signals";

export interface Server {
  /** Without a slash at its end. */
  readonly address: string;
  /** Kept here alone: in no link, and not after the visit. */
  readonly key: string;
  readonly models: readonly string[];
  /** The one that is asked. */
  readonly model: string;
  /** Names of the bundles that requests can name. */
  readonly bundles: readonly string[];
}

export const server = signal<Server | null>(null);
