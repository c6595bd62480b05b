/**
 * Sluice in a Web Worker: the page stays free while a model loads and runs. Few kilobytes; the engine itself is loaded by
 * the worker.
 *
 * @example
 * import { openEngine } from "sluice/worker";
 * const engine = await openEngine();
 * const model = await engine.load("org/name");
 * for await (const { text } of model.generate("Once upon a time")) document.body.append(text ?? "");
 * engine.dispose();
 */
import { SluiceError } from "../errors.ts";
import { engineOf } from "./client.ts";
import { Connection } from "./connection.ts";
import type { Request } from "./protocol.ts";
import type { Engine } from "./types.ts";

export { type ErrorCode, SluiceError } from "../errors.ts";
export type {
  Engine,
  EngineFunctions,
  WorkerAttribution,
  WorkerBatch,
  WorkerGeneration,
  WorkerLoadOptions,
  WorkerModel,
  WorkerSession,
  WorkerTokenizer,
} from "./types.ts";

/** Options of {@link openEngine}. */
export interface EngineOptions {
  /**
   * A worker that runs `sluice/worker/entry`, or a port that `serveEngine` serves. Default: a module worker from
   * `entry.js` beside this module, which a bundler finds and builds.
   */
  readonly worker?: Worker | MessagePort;
}

/**
 * Starts the engine in a worker.
 * @throws SluiceError `not_found` if the worker's script cannot be loaded, `usage` if it is of another version
 */
export async function openEngine({ worker }: EngineOptions = {}): Promise<Engine> {
  const port = worker ?? new Worker(new URL("./entry.js", import.meta.url), { type: "module", name: "sluice" });
  const close = (): void => ("terminate" in port ? port.terminate() : port.close());
  const connection = new Connection(port, close);
  const failed = (event: Event): void => {
    // What goes wrong in a worker that runs is for the console.
    event.preventDefault();
    const reason = "message" in event && event.message ? `: ${String(event.message)}` : "";
    connection.end(
      new SluiceError("not_found", `The engine's worker did not start${reason}`, {
        hint: "Its script must come from the page's own address, and the page's policy must allow it (worker-src 'self').",
      }),
    );
  };
  if ("terminate" in port) port.addEventListener("error", failed);
  else port.start();
  const base: Request = { type: "base", address: globalThis.document?.baseURI ?? globalThis.location?.href };
  port.postMessage(base);
  await connection.ready;
  port.removeEventListener("error", failed);
  return engineOf(connection, () =>
    connection.end(new SluiceError("aborted", "The engine was disposed of; open another")),
  );
}
