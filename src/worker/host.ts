/** The worker's end of the line: calls the engine for the page, and keeps the objects that cannot be sent. */
import { EdgeAttribution } from "../attribution/attribute-edges.ts";
import { SluiceError } from "../errors.ts";
import type { ModelSource } from "../formats/open-source.ts";
import { usePageBase } from "../formats/page-base.ts";
import type { Batch } from "../model/batch.ts";
import type { Generation } from "../model/generation.ts";
import { load } from "../model/load.ts";
import { Model } from "../model/model.ts";
import type { LoadOptions } from "../model/options.ts";
import { Session } from "../model/session.ts";
import { tokenAfterAnswer } from "../tokenizer/end-of-turn.ts";
import type { ModelFacts } from "./client.ts";
import { failureOf } from "./failure.ts";
import { library } from "./library.ts";
import { batchFacts, batchMethods, methodsOf, tokenizerMethods } from "./methods.ts";
import {
  buffersOf,
  CREDIT,
  ENGINE,
  type Handle,
  type Mark,
  type Outcome,
  type Port,
  PROTOCOL,
  type RemoteKind,
  type Reply,
  type Request,
} from "./protocol.ts";
import { Latest, Questions } from "./told.ts";

type Call = Extract<Request, { type: "call" }>;
type AnyFunction = (...args: readonly unknown[]) => unknown;

interface Kept {
  readonly kind: RemoteKind;
  readonly object: Model | Session | Batch | EdgeAttribution;
  /** Functions of the page that a model goes on calling after its load. */
  readonly functions?: readonly number[];
  /** With which it ends. */
  readonly owner?: Model | undefined;
}

/** What an engine keeps for its page. */
export interface HeldForPage {
  /** Models, sessions, batches and attributions. */
  readonly objects: number;
  /** Signals and functions of calls, streams, and questions that the page has not answered. */
  readonly links: number;
}

/** Tokens that the page can take now. */
interface Flow {
  credit: number;
  isStopped: boolean;
  wake: () => void;
}

/** What a worker of one's own brings. */
export interface ServeOptions {
  /** A device for every model, instead of one that each model opens. */
  readonly device?: GPUDevice;
}

/**
 * Serves the engine to whoever holds the other end of a port. `sluice/worker/entry` does it for a worker; a worker with
 * more to do calls it itself.
 */
export function serveEngine(port: Port, options: ServeOptions = {}): { readonly held: HeldForPage } {
  const host = new Host(port, options);
  port.addEventListener("message", ({ data }: MessageEvent<Request>) => host.receive(data));
  if (port instanceof MessagePort) port.start();
  host.send({ type: "ready", protocol: PROTOCOL });
  return host;
}

class Host {
  readonly #port: Port;
  readonly #options: ServeOptions;
  readonly #kept = new Map<number, Kept>();
  readonly #signals = new Map<number, AbortController>();
  readonly #latest = new Map<number, Latest>();
  readonly #flows = new Map<number, Flow>();
  readonly #questions = new Questions((reply) => this.send(reply));
  #last = ENGINE;

  constructor(port: Port, options: ServeOptions) {
    this.#port = port;
    this.#options = options;
  }

  send(reply: Reply, transfer: Iterable<ArrayBuffer> = []): void {
    this.#port.postMessage(reply, [...transfer]);
  }

  receive(request: Request): void {
    switch (request.type) {
      case "base":
        if (request.address !== undefined) usePageBase(request.address);
        break;
      case "call":
        void this.#run(request);
        break;
      case "abort":
        this.#signals.get(request.signal)?.abort();
        break;
      case "took":
        this.#resume(request.id, request.count);
        break;
      case "stop":
        this.#resume(request.id, 0, true);
        break;
      case "heard":
        this.#latest.get(request.number)?.heard();
        break;
      case "answer":
        this.#questions.answer(request.id, request);
        break;
      case "release":
        this.#release(request.handle);
        break;
      case "end":
        this.#end();
    }
  }

  get held(): HeldForPage {
    const links = this.#signals.size + this.#latest.size + this.#flows.size + this.#questions.waiting;
    return { objects: this.#kept.size, links };
  }

  async #run(call: Call): Promise<void> {
    let outcome: Outcome;
    try {
      outcome = { value: this.#sendable(await this.#call(call), call) };
    } catch (error) {
      outcome = { failure: failureOf(error) };
    }
    for (const { kind, number } of call.marks) {
      if (kind === "signal") this.#signals.delete(number);
      if (kind !== "latest") continue;
      // The page sees how far it came before it gets the result.
      this.#latest.get(number)?.flush();
      if (call.method !== "load" || "failure" in outcome) this.#latest.delete(number);
    }
    const isFacts = "value" in outcome && isHandle(outcome.value);
    this.send({ type: "done", id: call.id, ...outcome }, isFacts ? [] : buffersOf(outcome));
  }

  /** Calls what is named, at once if it can be: calls of an object act in the order in which they came. */
  #call(call: Call): unknown {
    const { target, method, args, marks } = call;
    const given = this.#unmark(args, marks);
    if (target === ENGINE) return method === "load" ? this.#load(given) : callLibrary(method, given);
    const { kind, object } = this.#object(target);
    if (method === "generate" && !(object instanceof EdgeAttribution)) {
      return this.#generate(call, (object.generate as AnyFunction).apply(object, [...given]) as Generation);
    }
    if (object instanceof Model) {
      if (method === "gpuBytes" || method === "resources") return object[method];
      if (method.startsWith("tokenizer.")) return callTokenizer(object, method.slice("tokenizer.".length), given);
    }
    const fact = batchFacts.find((name) => name === method);
    if (fact && isBatch(object)) return object[fact];
    if (!methodsOf[kind].includes(method)) throw unknownMethod(method);
    return (object as unknown as Readonly<Record<string, AnyFunction>>)[method]?.(...given);
  }

  #load([source, options]: readonly unknown[]): Promise<Model> {
    return load(source as ModelSource, { ...(options as LoadOptions | undefined), ...this.#options });
  }

  async #generate({ id, streams }: Call, generation: Generation): Promise<unknown> {
    if (!streams) return generation.results();
    const flow: Flow = { credit: CREDIT, isStopped: false, wake: () => undefined };
    this.#flows.set(id, flow);
    try {
      for await (const token of generation) {
        if (flow.isStopped) break;
        this.send({ type: "items", id, items: [token] });
        flow.credit -= 1;
        while (flow.credit <= 0 && !flow.isStopped) {
          await new Promise<void>((resolve) => {
            flow.wake = resolve;
          });
        }
      }
      return await generation.results();
    } finally {
      this.#flows.delete(id);
    }
  }

  #resume(id: number, count: number, isStopped = false): void {
    const flow = this.#flows.get(id);
    if (!flow) return;
    flow.credit += count;
    flow.isStopped ||= isStopped;
    flow.wake();
  }

  /** Arguments with what their marks stand for. */
  #unmark(args: readonly unknown[], marks: readonly Mark[]): readonly unknown[] {
    const given = [...args];
    for (const { at, field, ...mark } of marks) {
      const value = this.#meant(mark);
      if (field === undefined) given[at] = value;
      else (given[at] as Record<string, unknown>)[field] = value;
    }
    return given;
  }

  #meant({ kind, number, aborted }: Omit<Mark, "at" | "field">): unknown {
    switch (kind) {
      case "handle":
        return this.#object(number).object;
      case "signal": {
        const controller = new AbortController();
        if (aborted) controller.abort();
        this.#signals.set(number, controller);
        return controller.signal;
      }
      case "latest": {
        const latest = new Latest((calls) => this.send({ type: "tell", number, calls }));
        this.#latest.set(number, latest);
        return latest.call;
      }
      case "told":
        return (...args: readonly unknown[]) => this.send({ type: "tell", number, calls: [args] });
      case "asked":
        return (...args: readonly unknown[]) => this.#questions.ask(number, args);
    }
  }

  #object(handle: number): Kept {
    const kept = this.#kept.get(handle);
    if (kept) return kept;
    throw new SluiceError("usage", "This model, session, batch or attribution has been disposed of; make it again");
  }

  #sendable(value: unknown, { target, marks }: Call): unknown {
    const owner = this.#ownerAmong([
      target,
      ...marks.flatMap(({ kind, number }) => (kind === "handle" ? [number] : [])),
    ]);
    if (value instanceof Model) {
      const functions = marks.filter(({ kind }) => kind === "latest").map(({ number }) => number);
      return this.#keep({ kind: "model", object: value, functions }, factsOf(value));
    }
    if (value instanceof Session) {
      const { context, sequences } = value;
      return this.#keep({ kind: "session", object: value, owner }, { context, sequences });
    }
    if (isBatch(value)) {
      const { context, sequences } = value;
      return this.#keep({ kind: "batch", object: value, owner }, { context, sequences });
    }
    if (value instanceof EdgeAttribution) {
      const { destinations, masks } = value;
      return this.#keep({ kind: "attribution", object: value, owner }, { destinations, masks });
    }
    return value;
  }

  #keep(kept: Kept, facts: unknown): Handle {
    this.#last += 1;
    this.#kept.set(this.#last, kept);
    return { handle: this.#last, kind: kept.kind, facts };
  }

  #release(handle: number): void {
    this.#kept.get(handle)?.object.dispose();
    this.#forget(handle);
    for (const [other, { object, owner }] of this.#kept) {
      if (owner?.isDisposed || (object instanceof Model && object.isDisposed)) this.#forget(other);
    }
  }

  #ownerAmong(handles: readonly number[]): Model | undefined {
    for (const handle of handles) {
      const object = this.#kept.get(handle)?.object;
      if (object instanceof Model) return object;
    }
    return undefined;
  }

  #forget(handle: number): void {
    for (const number of this.#kept.get(handle)?.functions ?? []) this.#latest.delete(number);
    this.#kept.delete(handle);
  }

  /** Stops what runs for the page, and gives back what it made. */
  #end(): void {
    for (const signal of this.#signals.values()) signal.abort();
    for (const id of this.#flows.keys()) this.#resume(id, 0, true);
    for (const handle of [...this.#kept.keys()].reverse()) this.#release(handle);
    this.#questions.end();
    if (this.#port instanceof MessagePort) this.#port.close();
  }
}

async function callLibrary(method: string, given: readonly unknown[]): Promise<unknown> {
  const open = Object.hasOwn(library, method) ? library[method as keyof typeof library] : undefined;
  if (!open) throw unknownMethod(method);
  return ((await open()) as AnyFunction)(...given);
}

function callTokenizer({ tokenizer, tokenizerError }: Model, method: string, given: readonly unknown[]): unknown {
  if (!tokenizer) throw tokenizerError ?? new SluiceError("bad_tokens", "This model has no tokenizer");
  const name = tokenizerMethods.find((each) => each === method);
  if (!name) throw unknownMethod(method);
  if (name === "tokenAfterAnswer") return tokenAfterAnswer(tokenizer);
  return (tokenizer[name] as AnyFunction)(...given);
}

function factsOf(model: Model): ModelFacts {
  const { config, generationDefaults, stages, sites, device, tokenizer, tokenizerError } = model;
  return {
    config,
    generationDefaults,
    stages,
    sites,
    device,
    tokenizer: tokenizer && {
      vocabSize: tokenizer.vocabSize,
      ...(tokenizer.specialTokens && { specialTokens: tokenizer.specialTokens }),
      ...(tokenizer.bosTokenId !== undefined && { bosTokenId: tokenizer.bosTokenId }),
      ...(tokenizer.eosTokenId !== undefined && { eosTokenId: tokenizer.eosTokenId }),
    },
    tokenizerError: tokenizerError && failureOf(tokenizerError),
  };
}

/** By its methods, so that the batch's module is imported when one is opened. */
function isBatch(value: unknown): value is Batch {
  return typeof value === "object" && value !== null && batchMethods.every((name) => name in value);
}

function isHandle(value: unknown): boolean {
  return typeof value === "object" && value !== null && "handle" in value;
}

function unknownMethod(method: string): SluiceError {
  return new SluiceError("usage", `The engine has no function ${method} that a page can call`);
}
