/** wllama: llama.cpp as wasm in a page, on the CPU. It takes and returns texts, which represent ids. */
import { type Lane, type LaneOptions, type ModelFiles, phases } from "../lane.ts";
import { tokensOfText, tokenText } from "../models/token-text.ts";

interface Chunk {
  readonly choices: readonly { readonly text: string }[];
}

/** The part of wllama's interface that is used here. */
export interface WllamaModule {
  readonly Wllama: new (
    paths: Readonly<Record<string, string>>,
    config: Readonly<Record<string, unknown>>,
  ) => {
    loadModel(blobs: readonly Blob[], options: Readonly<Record<string, unknown>>): Promise<void>;
    createCompletion(options: Readonly<Record<string, unknown>>): Promise<AsyncIterable<Chunk>>;
  };
}

/** @param wasm address of its wasm file */
export async function openWllamaLane(
  { Wllama }: WllamaModule,
  { gguf, context }: ModelFiles,
  { threads }: LaneOptions,
  wasm: string,
): Promise<Lane> {
  const wllama = new Wllama({ default: wasm }, { suppressNativeLog: true });
  const file = await (await fetch(gguf)).blob();
  const cache = { cache_type_k: "f32", cache_type_v: "f32", flash_attn: false };
  await wllama.loadModel([file], { n_ctx: context, n_threads: threads, n_gpu_layers: 0, n_parallel: 1, ...cache });
  return {
    device: "CPU",
    async generate(prompt, newTokens) {
      const started = performance.now();
      const times: number[] = [];
      let text = "";
      const chunks = await wllama.createCompletion({
        prompt: prompt.map(tokenText).join(""),
        max_tokens: newTokens,
        temperature: 0,
        top_k: 1,
        ignore_eos: true,
        cache_prompt: false,
        stream: true,
      });
      for await (const { choices } of chunks) {
        if (!choices[0]?.text) continue;
        text += choices[0].text;
        times.push(performance.now());
      }
      return { ...phases(started, times), tokens: tokensOfText(text) };
    },
    logProbabilities: async () => null,
  };
}
