/** The server of a soak, and what it holds. */
import { steering } from "../../bench/steering.ts";
import { type load, type Resources, resources } from "../../src/index.ts";
import { serveModel } from "../../src/serve/node-serve.ts";

/** What it is started with. */
export interface SoakedOptions {
  readonly model: string;
  readonly key: string;
  readonly sequences: number;
  readonly context: number;
  readonly stallMs: number;
}

/** What the process and the device hold, after a collection of garbage if Node runs with --expose-gc. */
export interface Holdings {
  readonly rss: number;
  readonly heap: number;
  /** What the engine says that it holds. */
  readonly resources: Resources;
  /** What the server reported as faults of its own. */
  readonly faults: readonly string[];
}

export interface SoakedServer {
  readonly address: string;
  measure(): Promise<Holdings>;
  stop(): Promise<void>;
}

/** Starts it in this process. @param open `load`, or one that puts models on a device of its own choice */
export async function startHere(
  { model: path, key, sequences, context, stallMs }: SoakedOptions,
  open: typeof load,
): Promise<SoakedServer> {
  const faults: string[] = [];
  const model = await open(path, { plan: "reference" });
  const server = await serveModel(model, {
    ...{ name: "soaked", host: "127.0.0.1", port: 0, sequences, context, origins: [], allowUploads: false },
    bundles: new Map([0, 1, 2].map((index) => [`vector${index}`, steering(model, index, 1)])),
    keys: `${key}\n`,
    limits: { stallMs },
    onFault: (error) => faults.push(error instanceof Error ? (error.stack ?? error.message) : String(error)),
  });
  return {
    address: server.address,
    async measure() {
      for (let i = 0; i < 3; i++) {
        globalThis.gc?.();
        // Finalizers of the device's objects run in between.
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      const { rss, heapUsed } = process.memoryUsage();
      return { rss, heap: heapUsed, resources: resources(), faults };
    },
    async stop() {
      await server.drain();
      model.dispose();
    },
  };
}
