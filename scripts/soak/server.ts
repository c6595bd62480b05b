/**
 * The server of a soak, in a process of its own, so that its memory is no client's. It tells its parent where it listens,
 * and what it holds when asked. Run with --expose-gc.
 */
import { steering } from "../../bench/steering.ts";
import { load, type Resources, resources } from "../../src/index.ts";
import { serveModel } from "../../src/serve/node-serve.ts";

/** What the parent starts it with. */
export interface SoakedServer {
  readonly model: string;
  readonly key: string;
  readonly sequences: number;
  readonly context: number;
  readonly stallMs: number;
}

/** What the process and the device hold, after a collection of garbage. */
export interface Holdings {
  readonly rss: number;
  readonly heap: number;
  /** What the engine says that it holds. */
  readonly resources: Resources;
  /** What the server reported as faults of its own. */
  readonly faults: readonly string[];
}

/** Messages to the process and from it. */
export type ToServer = "measure" | "stop";
export type FromServer = { readonly address: string } | { readonly holdings: Holdings };

const { model: path, key, sequences, context, stallMs } = JSON.parse(process.argv[2] ?? "{}") as SoakedServer;
const faults: string[] = [];
const model = await load(path, { plan: "reference" });
const server = await serveModel(model, {
  ...{ name: "soaked", host: "127.0.0.1", port: 0, sequences, context, origins: [], allowUploads: false },
  bundles: new Map([0, 1, 2].map((index) => [`vector${index}`, steering(model, index, 1)])),
  keys: `${key}\n`,
  limits: { stallMs },
  onFault: (error) => faults.push(error instanceof Error ? (error.stack ?? error.message) : String(error)),
});
const tell = (message: FromServer) => process.send?.(message);
process.on("message", (message: ToServer) => void (message === "stop" ? stop() : measure()));
process.on("disconnect", () => process.exit(1));
tell({ address: server.address });

async function measure(): Promise<void> {
  for (let i = 0; i < 3; i++) {
    globalThis.gc?.();
    // Finalizers of the device's objects run in between.
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const { rss, heapUsed } = process.memoryUsage();
  tell({ holdings: { rss, heap: heapUsed, resources: resources(), faults } });
}

async function stop(): Promise<void> {
  await server.drain();
  model.dispose();
  process.disconnect?.();
}
