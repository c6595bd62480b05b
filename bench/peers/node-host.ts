/** The process of one lane in Node: a peer's driver, threads and crashes are its own. Talks to `node-lane.ts`. */
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import type { Lane, LaneOptions, ModelFiles } from "./lane.ts";
import { type NodeLlamaCpp, openLlamaLane } from "./lanes/llama.ts";
import { type Ort, openOnnxLane } from "./lanes/onnx.ts";
import { openLane } from "./lanes/sluice.ts";
import type { Engine } from "./peers.ts";

export type Request =
  | { readonly open: { readonly engine: Engine; readonly model: ModelFiles; readonly options: LaneOptions } }
  | { readonly generate: { readonly prompt: readonly number[]; readonly newTokens: number } }
  | { readonly logProbabilities: { readonly tokens: readonly number[] } };

export type Reply = { readonly value: unknown } | { readonly error: string };

let lane: Lane | undefined;

process.on("message", (request: Request) => {
  answer(request).then(
    (value) => process.send?.({ value } satisfies Reply),
    (error: unknown) =>
      process.send?.({ error: error instanceof Error ? error.message : String(error) } satisfies Reply),
  );
});

async function answer(request: Request): Promise<unknown> {
  if ("open" in request) {
    lane = await open(request.open.engine, request.open.model, request.open.options);
    return lane.device;
  }
  if (!lane) throw new Error("Nothing was opened");
  if ("generate" in request) return await lane.generate(request.generate.prompt, request.generate.newTokens);
  return await lane.logProbabilities(request.logProbabilities.tokens);
}

async function open(engine: Engine, model: ModelFiles, options: LaneOptions): Promise<Lane> {
  switch (engine) {
    case "sluice":
      return await openLane(model, options);
    case "onnxruntime-node":
      return await openOnnxLane(await importPeer<Ort>(engine), model, options, false);
    case "node-llama-cpp":
      return await openLlamaLane(await importPeer<NodeLlamaCpp>(engine), model, options);
    default:
      throw new Error(`${engine} runs in pages`);
  }
}

/** Peers are no dependencies of this package: their types are what each lane says it uses. */
async function importPeer<T>(name: string): Promise<T> {
  const path = createRequire(import.meta.url).resolve(name);
  return (await import(pathToFileURL(path).href)) as T;
}
