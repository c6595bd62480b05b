/** The process and the library as the commands see them, played: what was written, and what the library was asked. */
import type { Library, LoadedModel, OpenSession, RunningGeneration } from "../../src/cli/context.ts";
import { main, type Surroundings } from "../../src/cli/main.ts";
import { SluiceError, throwIfAborted } from "../../src/errors.ts";
import { readProfile } from "../../src/gpu/profile.ts";
import type {
  Bundle,
  ChatMessage,
  CompareOptions,
  ComposeSettings,
  FootprintOptions,
  GenerateOptions,
  GenerateResult,
  LoadOptions,
  PromptInput,
  Tokenizer,
  TuneModelOptions,
} from "../../src/index.ts";
import { baseOf } from "../../src/interventions/compose.ts";
import { gpt2 } from "../interventions/model-configs.ts";
import { FakeOutput, FakeSignals, input } from "./fake-process.ts";

/** Characters are ids; BOS is 1, the end of text 2. */
export function fakeTokenizer({ template = true } = {}): Tokenizer {
  const decode = (ids: readonly number[]): string => String.fromCodePoint(...ids.filter((id) => id > 2));
  return {
    encode(text, { addSpecialTokens = true } = {}) {
      return [...(addSpecialTokens ? [1] : []), ...Array.from(text, (character) => character.codePointAt(0) as number)];
    },
    decode,
    stream: () => ({ push: (token) => decode([token]), end: () => "" }),
    applyChatTemplate(messages: readonly ChatMessage[]) {
      if (!template) throw new SluiceError("usage", "The model has no chat template");
      return `${messages.map(({ role, content }) => `${role}: ${content}\n`).join("")}assistant: `;
    },
    bosTokenId: 1,
    eosTokenId: 2,
    vocabSize: 0x110000,
  };
}

/** What the fake library was asked to do. */
export interface Calls {
  readonly load: { readonly source: string; readonly options: LoadOptions }[];
  readonly generate: { readonly prompt: string | readonly number[]; readonly options: GenerateOptions }[];
  readonly batch: { readonly prompts: readonly unknown[]; readonly options: GenerateOptions }[];
  readonly logits: { readonly tokens: readonly number[]; readonly last: boolean | undefined }[];
  readonly capture: { readonly tokens: readonly number[]; readonly sites: readonly string[] }[];
  readonly attribute: {
    readonly tokens: readonly number[];
    readonly destinations: string;
    readonly mask: readonly number[] | undefined;
    readonly constants: readonly number[] | undefined;
  }[];
  readonly fit: {
    readonly good: readonly (readonly number[])[];
    readonly bad: readonly (readonly number[])[];
    readonly edges: number | undefined;
    readonly method: string | undefined;
    readonly start: string | undefined;
  }[];
  readonly digests: { readonly bundles: number; readonly source: string }[];
  readonly compare: { readonly prompt: unknown; readonly options: CompareOptions }[];
  readonly perplexity: { readonly documents: readonly (readonly number[])[]; readonly stride: number | undefined }[];
  readonly sessions: { readonly context?: number; readonly sequences?: number }[];
  readonly info: { readonly adapter?: string }[];
  readonly footprints: { readonly source: string; readonly options: FootprintOptions }[];
  readonly with: {
    readonly bundles: readonly { readonly file: string; readonly prefix: string | null }[];
    readonly settings: ComposeSettings;
  }[];
  readonly set: { readonly id: string; readonly strength?: number; readonly alpha?: number }[];
  readonly tune: TuneModelOptions[];
  disposedModels: number;
  disposedSessions: number;
}

export interface FakeModelOptions {
  readonly tokenizer?: Tokenizer | null;
  readonly eos?: readonly number[];
  readonly bos?: number;
  readonly generationDefaults?: LoadedModel["generationDefaults"];
  /** Of its files. */
  readonly digests?: NonNullable<ComposeSettings["digests"]>;
  /** The stages that act in it. */
  readonly stages?: LoadedModel["stages"];
  /** Changes of stages that each result reports. */
  readonly changes?: GenerateResult["changes"];
  /** Called with the options of an explanation. */
  readonly onExplain?: (options: object) => void;
  /** The texts that the model says, one a generation. */
  readonly says?: readonly string[];
  readonly finish?: GenerateResult["finish"];
  /** Called before each token; the signal is checked after it. */
  readonly beforeToken?: (index: number) => unknown;
}

export interface FakeLibrary extends Library {
  readonly calls: Calls;
}

export const timings: GenerateResult["timings"] = {
  compile_ms: 1,
  prefill_ms: 2,
  decode_ms: 3,
  prefill_tokens_per_s: 4,
  decode_tokens_per_s: 5,
  time_to_first_token_ms: 6,
};

const { bos_token_id: _, ...config } = gpt2;

/** A bundle without stages. */
function fakeBundle(file: string): Bundle {
  const base = baseOf(gpt2);
  return { file, manifest: { name: file, base, stages: [] }, tensors: new Map(), metadata: new Map() };
}

/** A library whose models generate given texts, one character per token. */
export function fakeLibrary(model: FakeModelOptions = {}): FakeLibrary {
  const { tokenizer = fakeTokenizer(), eos = [2], says = ["abc"], finish = "length" } = model;
  const calls: Calls = {
    load: [],
    generate: [],
    batch: [],
    logits: [],
    capture: [],
    attribute: [],
    fit: [],
    compare: [],
    digests: [],
    perplexity: [],
    sessions: [],
    info: [],
    footprints: [],
    with: [],
    set: [],
    tune: [],
    disposedModels: 0,
    disposedSessions: 0,
  };
  const matrix = (shape: readonly number[]) => ({ data: new Float32Array(shape.reduce((a, b) => a * b, 1)), shape });
  type Said = ReturnType<typeof resultOf>;
  const resultOf = (prompt: PromptInput, text: string, { temperature = 0 }: GenerateOptions) => ({
    prompt_tokens: typeof prompt === "string" ? (tokenizer?.encode(prompt) ?? []) : Array.from(prompt, Number),
    tokens: Array.from(text, (character) => character.codePointAt(0) as number),
    text: tokenizer ? text : null,
    finish,
    changes: model.changes ?? [],
    seed: temperature > 0 ? 7 : null,
    timings,
  });
  const generate = (prompt: string | readonly number[], options: GenerateOptions): RunningGeneration => {
    const text = says[Math.min(calls.generate.length, says.length - 1)] ?? "";
    calls.generate.push({ prompt, options });
    return {
      async *[Symbol.asyncIterator]() {
        for (const [index, character] of Array.from(text).entries()) {
          await model.beforeToken?.(index);
          throwIfAborted(options.signal);
          yield {
            token: character.codePointAt(0) as number,
            text: tokenizer ? character : null,
            sequence: 0,
          };
        }
      },
      async result() {
        throwIfAborted(options.signal);
        return resultOf(prompt, text, options);
      },
    };
  };
  const session = async (options: { context?: number; sequences?: number }): Promise<OpenSession> => {
    calls.sessions.push(options);
    const values = new Map((model.stages ?? []).map((stage) => [stage.id, { strength: stage.strength, alpha: 1 }]));
    return {
      context: options.context ?? 2048,
      generate,
      set(id, { strength, alpha }) {
        const now = values.get(id);
        if (!now) throw new SluiceError("usage", `There is no stage "${id}"`);
        values.set(id, { strength: strength ?? now.strength, alpha: alpha ?? now.alpha });
        calls.set.push({ id, ...(strength !== undefined && { strength }), ...(alpha !== undefined && { alpha }) });
      },
      stage(id) {
        const now = values.get(id);
        if (!now) throw new SluiceError("usage", `There is no stage "${id}"`);
        return { ...now, positions: "all" };
      },
      dispose() {
        calls.disposedSessions++;
      },
    };
  };
  const loaded: LoadedModel = {
    generationDefaults: model.generationDefaults ?? {},
    tokenizer,
    stages: model.stages ?? [],
    config: { ...config, eos_token_ids: eos, ...(model.bos !== undefined && { bos_token_id: model.bos }) },
    device: readProfile({ features: new Set(), limits: {} } as unknown as GPUDevice, { name: "Played GPU" }),
    generate,
    session,
    with(bundles, settings) {
      calls.with.push({ bundles: bundles.map(({ bundle: { file }, prefix = null }) => ({ file, prefix })), settings });
      return loaded;
    },
    async generateBatch(prompts, options = {}) {
      calls.batch.push({ prompts, options });
      return prompts.map((prompt, i) => resultOf(prompt, says[i] ?? "", options));
    },
    async logits(tokens, { last } = {}) {
      calls.logits.push({ tokens: Array.from(tokens, Number), last });
      return matrix([last ? 1 : tokens.length, 4]);
    },
    async capture(tokens, sites) {
      calls.capture.push({ tokens: Array.from(tokens, Number), sites });
      return new Map(sites.map((site) => [site, matrix([tokens.length, 2])]));
    },
    async checkFinite(prompt) {
      const tokens = typeof prompt === "string" ? [1] : Array.from(prompt, Number);
      return { finite: true, tokens, sites: 3, largest: { site: "embed", position: 0, value: 2.5 }, first: null };
    },
    async compare(prompt, options = {}) {
      calls.compare.push({ prompt, options });
      const [plain, edited] = [0, 1].map((i) => resultOf(prompt, says[i] ?? "", options)) as [Said, Said];
      const moved = [
        { token: 97, text: tokenizer ? "a" : null, plain: 0.5, edited: 0.25 },
        { token: 10, text: tokenizer ? "\n" : null, plain: 0.0001, edited: 0.125 },
      ];
      const kl_nats = { last: 0.25, mean: 0.0000125, positions: [0, 0.25] };
      return { prompt_tokens: plain.prompt_tokens, plain, edited, common_tokens: 1, kl_nats, moved, seed: null };
    },
    async lens(prompt, { asked } = {}) {
      const tokens = typeof prompt === "string" ? [1] : Array.from(prompt, Number);
      return { tokens, texts: null, asked: Array.from(asked ?? [], Number), layers: [] };
    },
    async perplexity(documents, { stride } = {}) {
      calls.perplexity.push({ documents: documents.map((tokens) => Array.from(tokens, Number)), stride });
      return { perplexity: Math.E, nll: 1, tokens: 9 };
    },
    async explain(options = {}) {
      model.onExplain?.(options);
      return `# Graph of ${options.context ?? "any"} positions\n`;
    },
    dispose() {
      calls.disposedModels++;
    },
  };
  return {
    calls,
    async load(source, options) {
      calls.load.push({ source, options });
      return loaded;
    },
    async attributeEdges(_, tokens, { destinations = "heads", mask, constants } = {}) {
      calls.attribute.push({
        tokens: Array.from(tokens, Number),
        destinations,
        mask: mask?.shape,
        constants: constants?.shape,
      });
      return { loss: 1.5, gradient: { data: Float32Array.of(1, 2, 3, 4, 5, 6), shape: [2, 3] } };
    },
    async fitEdges(_, { good, bad, ...options }) {
      calls.fit.push({ good, bad, edges: options.edges, method: options.method, start: options.start?.file });
      const before = { good: 2, bad: 3 };
      const edge = { source: "embed", destination: "logits", alone: { good: 2.125, bad: 3.5 } };
      const whole = fakeBundle("fitted");
      const stage = { id: "edges", kind: "edge_mask", destinations: "heads", edges: [["embed", "logits", 0]] } as const;
      const bundle = { ...whole, manifest: { ...whole.manifest, stages: [stage] } };
      const divergence = { good: 0.25, bad: 1 };
      return { bundle, summary: "1 of 82 edges", divergence, before, after: edge.alone, edges: [edge] };
    },
    async tune(_, options = {}) {
      calls.tune.push(options);
      const candidates = { register1x1: 210.5, lanes1: 105.25, tile: 9000 };
      const linear = { operation: "linear qkv", shape: "768x2304", dtype: "f32", candidates };
      return {
        device: "Played GPU",
        clock: { source: "gpu timestamps", step_us: 65.536 },
        seconds: 1.5,
        decided: 2,
        total: 3,
        results: [
          { ...linear, rows: "1", guess: "register1x1", chosen: "lanes1", ratio_to_guess: 0.5 },
          { ...linear, rows: "more", guess: "register1x1", chosen: "register1x1", ratio_to_guess: 1 },
        ],
      };
    },
    async fitAura() {
      throw new SluiceError("usage", "Played models cannot be fitted");
    },
    async fitDirection() {
      throw new SluiceError("usage", "Played models cannot be fitted");
    },
    async chooseLayer() {
      throw new SluiceError("usage", "Played models cannot be fitted");
    },
    async fitProbe(_, { positive, negative, site = "resid_post", layer = 0 }) {
      const counts = { n_positive: positive.length, n_negative: negative.length };
      const held_out = { n: 4, accuracy: 0.75, auroc: 0.875 };
      return { site, layer, weight: Float32Array.of(1, 2), bias: 0.5, ...counts, held_out };
    },
    async fitNeurons() {
      throw new SluiceError("usage", "Played models cannot be fitted");
    },
    async evaluate() {
      throw new SluiceError("usage", "Played models cannot be evaluated");
    },
    async sweep() {
      throw new SluiceError("usage", "Played models cannot be swept");
    },
    async sealBundle(_, bundle) {
      const check = { tokens: [1, 2], prompt_length: 2, top: [[5, 1.5]] as const, atol: 0.002 };
      return { ...bundle, manifest: { ...bundle.manifest, checks: [check, check, check] } };
    },
    async openQueue() {
      throw new SluiceError("usage", "Played models have no queue");
    },
    async openWorker() {
      throw new SluiceError("usage", "Played models have no queue");
    },
    async serve() {
      throw new SluiceError("usage", "Played models are not served");
    },
    async fitUnigramClassifier() {
      throw new SluiceError("usage", "Played classifiers cannot be fitted");
    },
    async profile() {
      throw new SluiceError("usage", "Played models are not profiled");
    },
    async deviceReport() {
      throw new SluiceError("usage", "Played models run on no device");
    },
    async bench() {
      throw new SluiceError("usage", "Played models have no speed");
    },
    async digestsFor(bundles, source) {
      calls.digests.push({ bundles: bundles.length, source });
      return model.digests ?? {};
    },
    async weightsDigestOf() {
      return "0".repeat(64);
    },
    async loadBundle(file) {
      return fakeBundle(file);
    },
    async info(options) {
      calls.info.push(options);
      return { data: { adapters: [] }, text: "Adapters\n" };
    },
    async measureModel(source, { signal: _, onNotice: __, ...options }) {
      calls.footprints.push({ source, options });
      const { context = 2048, sequences = 1 } = options;
      const weights = [{ format: "stored" as const, weight_bytes: 2.5e9, gpu_bytes: 2.6e9, fits: true, problem: null }];
      const sizes = { download_bytes: 2.5e9, cache_bytes: context * sequences, activation_bytes: 0 };
      const named = { model: source, model_type: "llama", parameters: 1.24e9, stored: "BF16", device: "a GPU" };
      return { ...named, ...sizes, context, sequences, weights };
    },
  };
}

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface FakeWorld extends Partial<Omit<Surroundings, "stdout" | "stderr">> {
  readonly stdout?: FakeOutput;
  readonly stderr?: FakeOutput;
}

/** Runs a command line in a fake process; everything not given is fake. */
export async function run(argv: readonly string[], world: FakeWorld = {}): Promise<Ended> {
  const { stdout = new FakeOutput(), stderr = new FakeOutput() } = world;
  const code = await main(argv, {
    library: fakeLibrary(),
    stdin: input([]),
    signals: new FakeSignals(),
    env: {},
    exit: (status) => assertNever(status),
    ...world,
    stdout,
    stderr,
  });
  return { code, stdout: stdout.text, stderr: stderr.text };
}

function assertNever(status: number): never {
  throw new Error(`The process was ended with ${status}`);
}
