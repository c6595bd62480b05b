/** `sluice serve` and its tests: a model, a batch and a socket put together, in Node. */
import { throwIfAborted } from "../errors.ts";
import type { Bundle, Model } from "../index.ts";
import { makeApp } from "./app.ts";
import { Engine } from "./engine.ts";
import { checkName } from "./interventions.ts";
import { ApiKeys } from "./keys.ts";
import { defaultLimits, type Limits } from "./limits.ts";
import { Metrics } from "./metrics.ts";
import { listen } from "./node-listen.ts";
import { Service } from "./service.ts";

export interface ServeOptions {
  /** The model as the user named it: requests may call it so, or by the last part of it. */
  readonly name: string;
  readonly host: string;
  /** 0 for any that is free. */
  readonly port: number;
  readonly sequences: number;
  /** Positions per sequence; default: as for a session. */
  readonly context?: number | undefined;
  /** By the names that requests use. */
  readonly bundles: ReadonlyMap<string, Bundle>;
  /** One API key per line; absent: none is needed. */
  readonly keys?: string | undefined;
  readonly origins: readonly string[];
  readonly allowUploads: boolean;
  /** Ends the opening: a server that listens is ended by `drain`. */
  readonly signal?: AbortSignal;
  /** Where they differ from the usual ones. */
  readonly limits?: Partial<Limits>;
  /** Told of faults of the server. */
  readonly onFault: (error: unknown) => void;
}

export interface RunningServer {
  /** `http://127.0.0.1:8000` */
  readonly address: string;
  readonly sequences: number;
  readonly context: number;
  /** Refuses new requests, lets those under way end, and frees everything but the model. */
  drain(): Promise<void>;
}

export async function serveModel(model: Model, options: ServeOptions): Promise<RunningServer> {
  const { sequences, context, host, port, origins, allowUploads, onFault } = options;
  const keys = options.keys === undefined ? undefined : await ApiKeys.read(options.keys);
  for (const name of options.bundles.keys()) checkName(name);
  const limits = { ...defaultLimits, ...options.limits };
  const engine = await Engine.open(model, options.bundles, { sequences, context, limits, allowUploads });
  try {
    throwIfAborted(options.signal);
    const app = makeApp(new Service(engine, new Metrics(), limits, options.name), {
      keys,
      origins,
      allowUploads,
      onFault,
    });
    const listening = await listen(app, { host, port, limits });
    return {
      address: listening.address,
      sequences,
      context: engine.context,
      async drain() {
        app.drain();
        // Until then it listens, so that those who come are told to go elsewhere.
        await listening.close();
        engine.dispose();
      },
    };
  } catch (error) {
    engine.dispose();
    throw error;
  }
}
