/** Where a GPU comes from: Node (node.ts) and pages (browser.ts) offer this. */

export interface HostOptions {
  /** `auto`, or the caller's choice of adapter; pages only know `auto`. */
  readonly adapter: string;
  /** Told one line worth a person's attention. */
  readonly onNotice: (message: string) => void;
}

export interface HostAdapter {
  readonly adapter: GPUAdapter;
  /** Lets go of what keeps the process alive, once the device is destroyed. */
  release(): void;
}
