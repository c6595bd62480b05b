/** What commands stand on: the library and the process, as narrow interfaces, so that tests can play both parts. */
import type { GeneratedToken, GenerateOptions, GenerateResult, LoadOptions, Model } from "../index.ts";
import type { TextOutput } from "./output.ts";
import type { Progress } from "./progress.ts";

/** A generation under way. */
export interface RunningGeneration extends AsyncIterable<GeneratedToken> {
  result(): Promise<GenerateResult>;
}

/** What the commands use of a model. */
export interface LoadedModel
  extends Pick<
    Model,
    "config" | "tokenizer" | "generateBatch" | "logits" | "capture" | "perplexity" | "explain" | "dispose"
  > {
  generate(prompt: string | readonly number[], options: GenerateOptions): RunningGeneration;
}

export interface InfoText {
  /** For programs. */
  readonly data: unknown;
  /** For people. */
  readonly text: string;
}

/** The library, opened when a command needs it, so that `--help` is there at once. */
export interface Library {
  load(source: string, options: LoadOptions): Promise<LoadedModel>;
  /** What Sluice found of WebGPU on this machine. */
  info(options: { readonly adapter?: string }): Promise<InfoText>;
}

/** Standard input, or what plays its part. */
export interface InputStream extends AsyncIterable<Uint8Array | string> {
  readonly isTTY?: boolean;
}

/** What a command works with. */
export interface CommandContext {
  readonly library: Library;
  readonly stdin: InputStream;
  /** Results, and nothing else. */
  readonly stdout: TextOutput;
  /** Fires on Ctrl-C, and when nobody reads the results any more. */
  readonly signal: AbortSignal;
  readonly progress: Progress;
  /** A line for the person, on stderr. */
  note(text: string): void;
}
