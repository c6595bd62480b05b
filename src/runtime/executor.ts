/**
 * Runs a plan: owns the buffers and bind groups of one session, encodes steps into submits and reads results
 * back. Everything the GPU needs is made here once; a step only writes a few uniforms and encodes dispatches.
 */
import { throwIfAborted } from "../errors.ts";
import { allDispatches, type BufferRole, type Dispatch, type Plan, type Tail } from "../compile/plan.ts";
import type { Gpu } from "../gpu/open.ts";
import type { PipelineCache } from "../gpu/pipelines.ts";
import { type Readback, ReadbackPool } from "../gpu/readback.ts";
import type { Kernel, Workload } from "../kernels/kernel.ts";
import { packArgs, packStep, stepByteLength, type StepRows } from "../kernels/step.ts";
import { Pacer, SUBMIT_BUDGET_MS } from "./pacer.ts";
import { SETTING_BYTES } from "./sampling.ts";
import type { GpuWeights } from "./weights.ts";

/** Steps whose uniforms can be in flight at once: the most that one run takes. */
export const MAX_STEPS_PER_RUN = 16;

/** How far past the blocks a step goes. */
export type Head = "none" | "norm" | "logits";

export interface Run {
  readonly steps: readonly StepRows[];
  readonly head: Head;
  readonly tail: Tail;
  /** What to read back once the last step is done. */
  readonly reads: readonly Read[];
  readonly signal?: AbortSignal | undefined;
}

export interface Read {
  readonly role: BufferRole;
  /** Bytes; multiples of 4. */
  readonly offset: number;
  readonly byteLength: number;
}

interface PreparedCandidate {
  readonly maxRows: number;
  readonly kernel: Kernel;
  readonly pipeline: GPUComputePipeline;
  readonly bindings: GPUBindGroup;
}

interface PreparedDispatch {
  readonly rows: Dispatch["rows"];
  readonly readsCache: boolean;
  readonly candidates: readonly PreparedCandidate[];
}

export interface ExecutorOptions {
  readonly gpu: Gpu;
  readonly pipelines: PipelineCache;
  readonly weights: GpuWeights;
  readonly plan: Plan;
  /** `[capacity, head_dim/2]` pairs (cos, sin), for models that rotate. */
  readonly rope?: Float32Array<ArrayBuffer>;
}

export class Executor {
  readonly plan: Plan;
  readonly #gpu: Gpu;
  readonly #readbacks: ReadbackPool;
  readonly #pacer: Pacer;
  readonly #buffers = new Map<string, GPUBuffer>();
  readonly #owned: GPUBuffer[] = [];
  readonly #prepared = new Map<Dispatch, PreparedDispatch>();
  readonly #stepStride: number;
  readonly #stepWords: Uint32Array<ArrayBuffer>;
  readonly #stepBuffer: GPUBuffer;
  readonly #stepGroup: GPUBindGroup;

  /** Makes all buffers and bind groups of a session; pipelines must have been prepared. */
  static async create(options: ExecutorOptions): Promise<Executor> {
    const pipelines = new Map<Kernel, GPUComputePipeline>();
    for (const dispatch of allDispatches(options.plan)) {
      for (const { kernel } of dispatch.candidates) pipelines.set(kernel, await options.pipelines.get(kernel));
    }
    return new Executor(options, pipelines);
  }

  private constructor(options: ExecutorOptions, pipelines: ReadonlyMap<Kernel, GPUComputePipeline>) {
    const { gpu, plan, weights, rope } = options;
    this.plan = plan;
    this.#gpu = gpu;
    this.#pacer = new Pacer(plan.family);
    this.#readbacks = new ReadbackPool(gpu);

    const alignment = gpu.device.limits.minUniformBufferOffsetAlignment;
    this.#stepStride = roundUp(stepByteLength(plan.maxRows), alignment);
    this.#stepWords = new Uint32Array((this.#stepStride * MAX_STEPS_PER_RUN) / 4);
    this.#stepBuffer = this.#own("steps", this.#stepWords.byteLength, GPUBufferUsage.UNIFORM);
    this.#stepGroup = gpu.device.createBindGroup({
      layout: options.pipelines.stepLayout,
      entries: [{ binding: 0, resource: { buffer: this.#stepBuffer, size: stepByteLength(plan.maxRows) } }],
    });

    this.#makeBuffers(weights, rope);
    this.#prepareDispatches(options.pipelines, pipelines, alignment);
  }

  /** Writes token ids into the token table, `index` counted in ids. */
  writeTokens(index: number, ids: Uint32Array<ArrayBuffer>): void {
    this.#gpu.device.queue.writeBuffer(this.buffer({ role: "tokens" }), index * 4, ids);
  }

  /** Writes `words` into a buffer of this session at a byte offset. */
  write(role: BufferRole, offset: number, words: Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer>): void {
    this.#gpu.device.queue.writeBuffer(this.buffer(role), offset, words);
  }

  /** Milliseconds a step of these rows is expected to take, by cost and what was measured so far. */
  estimateStep(step: StepRows, head: Head, tail: Tail): number {
    let total = 0;
    for (const { dispatch, work } of this.#dispatchesOf(step, head, tail)) {
      total += this.#pacer.estimate(candidateFor(dispatch, work.rows).kernel.cost(work));
    }
    return total;
  }

  /**
   * Runs up to MAX_STEPS_PER_RUN steps in order and resolves to the bytes of each read.
   * @throws SluiceError `aborted` between submits, `device_lost`, `gpu`
   */
  async run(run: Run): Promise<readonly ArrayBuffer[]> {
    this.#gpu.checkAlive();
    const { device } = this.#gpu;
    run.steps.forEach((step, i) => {
      packStep(step, this.plan.maxRows, this.#stepWords.subarray((i * this.#stepStride) / 4));
    });
    device.queue.writeBuffer(this.#stepBuffer, 0, this.#stepWords, 0, (run.steps.length * this.#stepStride) / 4);

    const started = performance.now();
    let estimatedTotal = 0;
    let estimated = 0;
    let encoder = device.createCommandEncoder();
    let pass = encoder.beginComputePass();
    for (const [i, step] of run.steps.entries()) {
      for (const { dispatch, work } of this.#dispatchesOf(step, run.head, run.tail)) {
        const candidate = candidateFor(dispatch, work.rows);
        const cost = this.#pacer.estimate(candidate.kernel.cost(work));
        if (estimated > 0 && estimated + cost > SUBMIT_BUDGET_MS) {
          pass.end();
          device.queue.submit([encoder.finish()]);
          await this.#gpu.idle();
          throwIfAborted(run.signal);
          encoder = device.createCommandEncoder();
          pass = encoder.beginComputePass();
          estimated = 0;
        }
        estimated += cost;
        estimatedTotal += cost;
        pass.setPipeline(candidate.pipeline);
        pass.setBindGroup(0, this.#stepGroup, [i * this.#stepStride]);
        pass.setBindGroup(1, candidate.bindings);
        pass.dispatchWorkgroups(...candidate.kernel.workgroups(work.rows));
      }
    }
    pass.end();
    const readbacks: Readback[] = run.reads.map(({ role, offset, byteLength }) =>
      this.#readbacks.copy(encoder, this.buffer(role), offset, byteLength),
    );
    device.queue.submit([encoder.finish()]);
    const bytes = await Promise.all(readbacks.map((readback) => readback.bytes()));
    if (readbacks.length > 0) this.#pacer.observe(estimatedTotal, performance.now() - started);
    this.#gpu.checkAlive();
    return bytes;
  }

  /** Frees every buffer of the session. The weights are not its own. */
  dispose(): void {
    this.#readbacks.dispose();
    for (const buffer of this.#owned) this.#gpu.release(buffer);
    this.#owned.length = 0;
  }

  buffer(role: BufferRole): GPUBuffer {
    const buffer = this.#buffers.get(roleKey(role));
    if (!buffer) throw new Error(`The session has no buffer for ${roleKey(role)}`);
    return buffer;
  }

  *#dispatchesOf(step: StepRows, head: Head, tail: Tail): Generator<{ dispatch: PreparedDispatch; work: Workload }> {
    const { plan } = this;
    const keys = step.rows.reduce((sum, row) => sum + row.position + 1, 0);
    const lists = [plan.body];
    if (step.outs.length > 0 && head !== "none") {
      lists.push(plan.finalNorm);
      if (head === "logits") lists.push(plan.head);
      if (tail !== "none") lists.push(plan.tails[tail]);
    }
    for (const list of lists) {
      for (const planned of list) {
        const dispatch = this.#prepared.get(planned) as PreparedDispatch;
        const rows = dispatch.rows === "outs" ? step.outs.length : step.rows.length;
        yield { dispatch, work: { rows, keys: dispatch.readsCache ? keys : 0 } };
      }
    }
  }

  #makeBuffers(weights: GpuWeights, rope: Float32Array<ArrayBuffer> | undefined): void {
    const { plan } = this;
    const add = (role: BufferRole, byteLength: number, contents?: Float32Array<ArrayBuffer>): void => {
      const buffer = this.#own(roleKey(role), byteLength, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC);
      if (contents) this.#gpu.device.queue.writeBuffer(buffer, 0, contents);
      this.#buffers.set(roleKey(role), buffer);
    };
    weights.parts.forEach((buffer, part) => this.#buffers.set(roleKey({ role: "weights", part }), buffer));
    this.#buffers.set(roleKey({ role: "params" }), weights.params);
    plan.activations.forEach((byteLength, index) => add({ role: "activation", index }, byteLength));
    for (let layer = 0; layer < plan.layers; layer++) {
      add({ role: "keys", layer }, plan.slots * plan.cacheRowBytes);
      add({ role: "values", layer }, plan.slots * plan.cacheRowBytes);
    }
    add({ role: "tokens" }, plan.sequences * (plan.capacity + 1) * 4);
    add({ role: "slots" }, plan.sequences * plan.capacity * 4);
    add({ role: "settings" }, plan.sequences * SETTING_BYTES);
    add({ role: "seen" }, plan.sequences * plan.seenWords * 4);
    add({ role: "losses" }, plan.chunkOuts * 4);
    if (rope) add({ role: "rope" }, rope.byteLength, rope);
    if (plan.captureBytes > 0) add({ role: "capture" }, plan.captureBytes);
  }

  #prepareDispatches(cache: PipelineCache, pipelines: ReadonlyMap<Kernel, GPUComputePipeline>, alignment: number): void {
    const { device } = this.#gpu;
    const blocks: { dispatch: Dispatch; kernel: Kernel; offset: number; words: Uint32Array }[] = [];
    let end = 0;
    for (const dispatch of allDispatches(this.plan)) {
      for (const { kernel } of dispatch.candidates) {
        const words = packArgs(kernel, dispatch.args);
        blocks.push({ dispatch, kernel, offset: end, words });
        end = roundUp(end + words.byteLength, alignment);
      }
    }
    const args = this.#own("args", Math.max(end, 16), GPUBufferUsage.UNIFORM);
    const contents = new Uint32Array(Math.max(end, 16) / 4);
    for (const { offset, words } of blocks) contents.set(words, offset / 4);
    device.queue.writeBuffer(args, 0, contents);

    const candidates = new Map<Dispatch, PreparedCandidate[]>();
    for (const { dispatch, kernel, offset, words } of blocks) {
      const entries = kernel.bindings.map(({ name, binding, access }): GPUBindGroupEntry => {
        if (access === "args") return { binding, resource: { buffer: args, offset, size: words.byteLength } };
        const role = dispatch.bind[name];
        if (!role) throw new Error(`${dispatch.label}: the plan connects nothing to ${name} of ${kernel.name}`);
        return { binding, resource: { buffer: this.buffer(role) } };
      });
      const list = candidates.get(dispatch) ?? [];
      candidates.set(dispatch, list);
      list.push({
        maxRows: (dispatch.candidates[list.length] as Dispatch["candidates"][number]).maxRows,
        kernel,
        pipeline: pipelines.get(kernel) as GPUComputePipeline,
        bindings: device.createBindGroup({ label: `${dispatch.label} ${kernel.name}`, layout: cache.layoutOf(kernel), entries }),
      });
    }
    for (const [dispatch, list] of candidates) {
      this.#prepared.set(dispatch, { rows: dispatch.rows, readsCache: dispatch.readsCache, candidates: list });
    }
  }

  #own(label: string, byteLength: number, usage: GPUBufferUsageFlags): GPUBuffer {
    const buffer = this.#gpu.createBuffer(label, Math.max(roundUp(byteLength, 16), 16), usage | GPUBufferUsage.COPY_DST);
    this.#owned.push(buffer);
    return buffer;
  }
}

function candidateFor(dispatch: PreparedDispatch, rows: number): PreparedCandidate {
  for (const candidate of dispatch.candidates) if (rows <= candidate.maxRows) return candidate;
  throw new Error(`No kernel of the plan serves ${rows} rows`);
}

function roleKey(role: BufferRole): string {
  if (role.role === "weights") return `weights ${role.part}`;
  if (role.role === "activation") return `activation ${role.index}`;
  if (role.role === "keys" || role.role === "values") return `${role.role} ${role.layer}`;
  return role.role;
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
