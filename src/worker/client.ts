/** The engine's counterparts in a page: objects whose methods are calls to the worker. */
import { SluiceError } from "../errors.ts";
import type { GeneratedToken, GenerateResult } from "../model/generation.ts";
import { type Connection, TokenStream } from "./connection.ts";
import { errorOf } from "./failure.ts";
import {
  attributionMethods,
  batchFacts,
  batchMethods,
  functions,
  modelMethods,
  sessionMethods,
  tokenizerMethods,
} from "./methods.ts";
import { ENGINE, type Failure, type Handle, type RemoteKind } from "./protocol.ts";
import type {
  Engine,
  WorkerAttribution,
  WorkerBatch,
  WorkerGeneration,
  WorkerModel,
  WorkerSession,
  WorkerTokenizer,
} from "./types.ts";

type Methods = Record<string, (...args: readonly unknown[]) => Promise<unknown>>;

/** The engine at the other end of a connection. @param end ends the worker */
export function engineOf(connection: Connection, end: () => void): Engine {
  const engine = {
    ...methods(connection, ENGINE, functions),
    async load(...args: readonly unknown[]): Promise<unknown> {
      const { result, release } = connection.call(ENGINE, "load", args);
      try {
        // The model tells of its compiling and its notices later too.
        return modelOf(connection, (await result) as Handle, release);
      } catch (error) {
        release();
        throw error;
      }
    },
    dispose: end,
  };
  return engine as unknown as Engine;
}

/** A promise for each named method's result, and a counterpart if the result stays in the worker. */
function methods(connection: Connection, handle: number, names: readonly string[]): Methods {
  return Object.fromEntries(
    names.map((name) => [
      name,
      async (...args: readonly unknown[]) => counterpart(connection, await connection.ask(handle, name, args)),
    ]),
  );
}

const makers: Readonly<Record<RemoteKind, (connection: Connection, handle: Handle) => object>> = {
  model: modelOf,
  session: sessionOf,
  batch: batchOf,
  attribution: attributionOf,
};

function counterpart(connection: Connection, value: unknown): unknown {
  return isHandle(value) ? makers[value.kind](connection, value) : value;
}

function isHandle(value: unknown): value is Handle {
  return typeof value === "object" && value !== null && "handle" in value && "facts" in value;
}

/** What a worker says of a model. */
export interface ModelFacts extends Pick<WorkerModel, "config" | "generationDefaults" | "stages" | "sites" | "device"> {
  readonly tokenizer: Omit<WorkerTokenizer, (typeof tokenizerMethods)[number]> | null;
  readonly tokenizerError: Failure | null;
}

/** @param end called when the model is disposed of */
function modelOf(connection: Connection, { handle, facts }: Handle, end = (): void => undefined): WorkerModel {
  const { tokenizer, tokenizerError, ...known } = facts as ModelFacts;
  const textMethods = tokenizerMethods.map((name) => [
    name,
    (...args: readonly unknown[]) => connection.ask(handle, `tokenizer.${name}`, args),
  ]);
  const model = {
    ...known,
    ...methods(connection, handle, modelMethods),
    tokenizer: tokenizer && { ...tokenizer, ...Object.fromEntries(textMethods) },
    tokenizerError: tokenizerError && errorOf(tokenizerError),
    get gpuBytes(): Promise<unknown> {
      return connection.ask(handle, "gpuBytes", []);
    },
    get resources(): Promise<unknown> {
      return connection.ask(handle, "resources", []);
    },
    generate: (...args: readonly unknown[]) => generationOf(connection, handle, args),
    dispose(): void {
      connection.release(handle);
      end();
    },
  };
  return connection.stands(model, handle) as unknown as WorkerModel;
}

function sessionOf(connection: Connection, { handle, facts }: Handle): WorkerSession {
  const session = {
    ...(facts as object),
    ...methods(connection, handle, sessionMethods),
    generate: (...args: readonly unknown[]) => generationOf(connection, handle, args),
    dispose: () => connection.release(handle),
  };
  return connection.stands(session, handle) as unknown as WorkerSession;
}

function batchOf(connection: Connection, { handle, facts }: Handle): WorkerBatch {
  const batch = {
    ...(facts as object),
    ...methods(connection, handle, batchMethods),
    generate: (...args: readonly unknown[]) => generationOf(connection, handle, args),
    dispose: () => connection.release(handle),
  };
  for (const name of batchFacts) {
    Object.defineProperty(batch, name, { get: () => connection.ask(handle, name, []), enumerable: true });
  }
  return connection.stands(batch, handle) as unknown as WorkerBatch;
}

function attributionOf(connection: Connection, { handle, facts }: Handle): WorkerAttribution {
  const attribution = {
    ...(facts as object),
    ...methods(connection, handle, attributionMethods),
    dispose: () => connection.release(handle),
  };
  return connection.stands(attribution, handle) as unknown as WorkerAttribution;
}

/** As in the library: it runs once, and starts when it is iterated or its result is asked for. */
function generationOf(connection: Connection, handle: number, args: readonly unknown[]): WorkerGeneration {
  let isStarted = false;
  let settle: { resolve(results: unknown): void; reject(error: unknown): void } | undefined;
  const ended = new Promise<unknown>((resolve, reject) => {
    settle = { resolve, reject };
  });
  // Whoever iterates gets the error there, and need not await results too.
  ended.catch(() => undefined);
  const start = (): void => {
    if (isStarted) {
      throw new SluiceError("usage", "This generation has already been started; call generate again for another");
    }
    isStarted = true;
  };
  async function* iterate(): AsyncGenerator<GeneratedToken> {
    start();
    const stream = new TokenStream();
    const { id, result, release } = connection.call(handle, "generate", args, stream);
    result.then(settle?.resolve, settle?.reject);
    let isDone = false;
    try {
      yield* stream.take((count) => connection.took(id, count)) as AsyncGenerator<GeneratedToken>;
      isDone = true;
      await result;
    } finally {
      if (!isDone) {
        connection.stop(id);
        // The session is free again when the worker has stopped.
        await result.catch(() => undefined);
      }
      release();
    }
  }
  const results = async (): Promise<readonly GenerateResult[]> => {
    if (!isStarted) {
      start();
      connection.ask(handle, "generate", args).then(settle?.resolve, settle?.reject);
    }
    return (await ended) as readonly GenerateResult[];
  };
  return {
    [Symbol.asyncIterator]: iterate,
    results,
    result: async () => (await results())[0] as GenerateResult,
  };
}
