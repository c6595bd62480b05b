/** A running batch for callers: any number of requests at any time, run together. */
import { Envelope } from "../compile/envelope.ts";
import { fuse } from "../compile/fuse.ts";
import { batchDefaults } from "../defaults.ts";
import { SluiceError } from "../errors.ts";
import type { PipelineCache } from "../execution/pipelines.ts";
import type { Graph } from "../graph/graph.ts";
import type { BundleInput } from "../interventions/arguments.ts";
import type { Bundle, ComposedBundle } from "../interventions/bundle-types.ts";
import { compose } from "../interventions/compose.ts";
import { positionWarnings } from "../interventions/position-warnings.ts";
import { rewrite } from "../interventions/rewrite.ts";
import type { Composition } from "../interventions/stage.ts";
import { prepareBatch } from "../runtime/batch/prepare.ts";
import { ProgramStages } from "../runtime/batch/program-stages.ts";
import { ProgramStore } from "../runtime/batch/program-store.ts";
import type { BatchStats } from "../runtime/batch/request.ts";
import { Scheduler } from "../runtime/batch/scheduler.ts";
import { Sequences } from "../runtime/sequences.ts";
import { type BatchBundle, BatchBundles, type StagesLease } from "./batch-bundles.ts";
import { batchDoors } from "./doors.ts";
import { generateInBatch } from "./generate-in-batch.ts";
import { Generation, type GenerationRequest } from "./generation.ts";
import type { ModelParts } from "./model-parts.ts";
import { openExecutor } from "./open-executor.ts";
import type { BatchGenerateOptions, BatchOptions } from "./options.ts";
import { boundsOf, numberSequences, type PromptInput, type RequestBounds, settleRequest } from "./request.ts";

/** A batch of a server meets any number of stages. */
const MOST_WARNINGS = 1000;

/**
 * Requests join between two steps and leave when they have ended, so none waits for another to end while there is a
 * sequence for it; then it waits in line. What the cache holds of earlier requests is kept as long as there is room, and a
 * prompt that begins alike does not compute it again. Under the reference plan every request has the bits that it has
 * alone, whatever runs beside it.
 */
export class Batch {
  readonly #scheduler: Scheduler;
  readonly #bounds: RequestBounds;
  readonly #sequences: Sequences;
  readonly #bundles: BatchBundles;
  readonly #onNotice: (message: string) => void;
  /** Stages of which was said that they act on no token. */
  readonly #warned = new Set<string>();
  #isDisposed = false;

  /** @internal */
  constructor(
    sequences: Sequences,
    scheduler: Scheduler,
    bounds: RequestBounds,
    bundles: BatchBundles,
    onNotice: (message: string) => void = () => undefined,
  ) {
    this.#onNotice = onNotice;
    this.#bundles = bundles;
    this.#sequences = sequences;
    this.#scheduler = scheduler;
    this.#bounds = bounds;
  }

  /** Positions of each sequence. */
  get context(): number {
    return this.#sequences.plan.capacity;
  }

  /** Number of sequences: the most requests that run at once. */
  get sequences(): number {
    return this.#sequences.plan.sequences;
  }

  /** What it is doing, and what it did since it was opened. */
  get stats(): BatchStats {
    return this.#scheduler.counts;
  }

  /**
   * Continues a prompt beside whatever else runs. It joins when the result is iterated or awaited; a caller that stops
   * iterating, or aborts, frees its sequence at once. An error ends this request alone.
   * @throws SluiceError `usage` for a bundle or a stage that is not known; `busy`, from the result, if `maxQueue` requests wait already
   */
  generate(prompt: PromptInput, options: BatchGenerateOptions = {}): Generation {
    const [given, wanted] = batchDoors.generate.read(prompt, options);
    this.#checkOpen();
    const { interventions } = wanted;
    const lease = () => this.#bundles.lease(interventions, this.sequences);
    // What is wrong with it is told now; its stages are those of the moment at which it starts.
    const { scopes, release } = lease();
    release();
    const { request } = settleRequest(this.#bounds, numberSequences([given], wanted.samples), wanted);
    this.#warnOfPositions(scopes, request);
    const run = { sequences: this.#sequences, scheduler: this.#scheduler, lease };
    return new Generation(() => generateInBatch(request, run));
  }

  /** The bundles that requests can name. */
  get bundles(): readonly BatchBundle[] {
    return this.#bundles.list;
  }

  /**
   * Registers a bundle while the batch runs. Nothing is compiled, and requests that do not name it cost the same.
   * @param name what requests call it
   * @throws SluiceError `bad_bundle` for a bundle that does not fit the model, or that the batch was not opened for
   *   (its hint says with which `envelope` to open it); `usage` for a name that is taken; `device_limit`
   */
  async addBundle(name: string, bundle: BundleInput): Promise<void> {
    const [called, read] = batchDoors.addBundle.read(name, bundle);
    this.#checkOpen();
    this.#bundles.add(called, read);
  }

  /**
   * Forgets a bundle. Requests that run with it go on.
   * @throws SluiceError `usage` if there is none of that name
   */
  removeBundle(name: string): void {
    const [called] = batchDoors.removeBundle.read(name);
    this.#checkOpen();
    this.#bundles.remove(called);
  }

  /** Frees the batch's buffers. Requests that run or wait end with an error. */
  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#scheduler.dispose();
  }

  /** Stages that act on none of a request's tokens: a notice, once for each of a batch's. */
  #warnOfPositions(scopes: StagesLease["scopes"], { prompts, promptLength, maxNewTokens }: GenerationRequest): void {
    // Samples have one prompt.
    const length = prompts[0]?.tokens.length ?? 0;
    const run = { promptLength: promptLength ?? length, length: length + maxNewTokens - 1 };
    for (const scope of scopes) {
      const key = JSON.stringify(scope);
      if (this.#warned.has(key) || this.#warned.size >= MOST_WARNINGS) continue;
      for (const warning of positionWarnings([scope], run)) {
        this.#warned.add(key);
        this.#onNotice(warning);
      }
    }
  }

  #checkOpen(): void {
    if (this.#isDisposed) throw new SluiceError("usage", "This batch has been disposed of; open another");
  }
}

/**
 * Opens the sequences of a batch and compiles what its steps need.
 * @param own the model's stages, which act on requests that name no bundles
 * @param bundles what they come from
 * @throws SluiceError `context_overflow`, `device_limit`, `aborted`
 */
export async function openBatch(
  { parts, pipelines }: { readonly parts: ModelParts; readonly pipelines: PipelineCache },
  own: Composition | undefined,
  bundles: readonly ComposedBundle[],
  options: BatchOptions,
): Promise<Batch> {
  const { sequences: count, prefillRows, maxQueue, context, signal } = { ...batchDefaults, ...options };
  const { config, graph } = parts;
  const alone = bundles.map(({ bundle }) => compose(config, [{ bundle }]));
  const envelope = new Envelope(config, options.envelope ?? {}, own ? [own, ...alone] : alone);
  const edited = envelope.isEmpty ? undefined : probed(graph, envelope);
  const session = { sequences: count, ...(context !== undefined && { context }), live: true, signal };
  const executor = await openExecutor(parts, pipelines, edited, session);
  const { plan } = executor;
  try {
    const mostBytes = parts.gpu.profile.limits.maxStorageBufferBindingSize;
    const write = (at4: number, words: Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer>) =>
      executor.write({ role: "stages" }, at4 * 16, words);
    const store =
      plan.stages?.programs &&
      new ProgramStore(plan.stages.programs, {
        write,
        grow: (count4) => executor.growStages(count4 * 16),
        most: Math.floor(mostBytes / 16),
      });
    const stages =
      store &&
      new ProgramStages(store, plan.sequences, {
        writeTable: write,
        writeScopes: (words) => executor.writeScopes(words),
      });
    const sequences = new Sequences(executor, config.vocab_size, undefined, parts.onProgress, stages);
    const registry = new BatchBundles(parts, envelope, store, { own, mostScopeBytes: mostBytes / 2 });
    for (const { bundle } of bundles) registry.add(nameOf(bundle, registry.list), bundle);
    await prepareBatch(sequences, prefillRows, signal);
    const scheduler = new Scheduler(sequences, { prefillRows, maxQueue, stages });
    return new Batch(sequences, scheduler, boundsOf(parts, plan.capacity), registry, parts.onNotice);
  } catch (error) {
    executor.dispose();
    throw error;
  }
}

/** The model with a stage that stands for any at each site of the envelope. */
function probed(graph: Graph, envelope: Envelope) {
  const { composition } = envelope;
  const edited = rewrite(graph, composition);
  return { graph: edited, ops: fuse(edited), composition, programs: envelope };
}

/** The name of a bundle's file without ending; of its manifest, if that is taken. */
function nameOf({ file, manifest }: Bundle, known: readonly BatchBundle[]): string {
  const stem = file.replace(/^.*[\\/]/, "").replace(/\.safetensors$/, "");
  return stem !== "" && !known.some(({ name }) => name === stem) ? stem : manifest.name;
}
