/**
 * Where the tuner runs single kernels: the model's weights, and its own buffers instead of a session's. Samples go
 * through all layers in turn, and on GPUs also through other weights of the model (stand-ins.ts), so that weights come
 * from memory, as they do when tokens are computed. Limits: one layer's keys and values stand in for all, and the head's
 * single matrix is always the same; a GPU may have those in its cache.
 */
import { type BufferRole, type Dispatch, type Plan, roleKey } from "../compile/plan.ts";
import { BoundPass } from "../execution/bound-pass.ts";
import { type BoundKernel, Dispatcher } from "../execution/dispatcher.ts";
import type { PipelineCache } from "../execution/pipelines.ts";
import type { Gpu } from "../gpu/gpu.ts";
import type { Kernel } from "../kernels/kernel.ts";
import { MOST_PARTIAL_BYTES } from "../kernels/linear/linear.ts";
import { type Place, standIns } from "./stand-ins.ts";

/** A model's weights on the GPU. */
export interface Weights {
  /** By index of the weight layout. */
  readonly parts: readonly GPUBuffer[];
  readonly params: GPUBuffer;
}

export class Workbench {
  readonly #gpu: Gpu;
  readonly #plan: Plan;
  readonly #weights: Weights;
  readonly #dispatcher: Dispatcher;
  readonly #buffers = new Map<string, GPUBuffer>();
  /** Of the operation being measured. */
  readonly #bound = new Map<string, readonly BoundKernel[]>();
  /** Runs so far, which determine the next place. */
  #turn = 0;

  constructor(gpu: Gpu, pipelines: PipelineCache, plan: Plan, weights: Weights, rope?: Float32Array<ArrayBuffer>) {
    this.#gpu = gpu;
    this.#plan = plan;
    this.#weights = weights;
    this.#dispatcher = new Dispatcher({ gpu, pipelines, label: "tuner", maxRows: plan.maxRows });
    try {
      this.#makeBuffers(rope);
      this.#dispatcher.makeSteps(1);
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  #makeBuffers(rope: Float32Array<ArrayBuffer> | undefined): void {
    const plan = this.#plan;
    const { queue } = this.#gpu.device;
    plan.activations.forEach((bytes, index) => this.#own({ role: "activation", index }, bytes));
    // The variants may leave more partial sums than the plan's own kernels.
    this.#own({ role: "partials" }, MOST_PARTIAL_BYTES);
    // One layer's cache stands for all.
    for (const role of ["keys", "values"] as const) this.#own({ role, layer: 0 }, plan.slots * plan.cacheRowBytes);
    const slots = Uint32Array.from({ length: plan.capacity }, (_, i) => i);
    queue.writeBuffer(this.#own({ role: "slots" }, slots.byteLength), 0, slots);
    if (rope) queue.writeBuffer(this.#own({ role: "rope" }, rope.byteLength), 0, rope);
  }

  /**
   * Begins another operation or number of rows: earlier preparations are dropped.
   * @param rows of one sequence, all of which go through the head, before position `end`
   */
  begin(rows: number, end: number): void {
    this.#bound.clear();
    this.#dispatcher.clearArgs();
    const first = Math.max(0, end - rows);
    const list = Array.from({ length: rows }, (_, i) => {
      return { token_index: 0, position: first + i, slot: first + i, sequence: 0 };
    });
    const outs = list
      .slice(0, this.#plan.chunkOuts)
      .map(({ position }, row) => ({ row, token_index: 0, sequence: 0, position }));
    this.#dispatcher.steps.write([{ rows: list, outs }]);
  }

  /**
   * Prepares a kernel to run instead of these dispatches.
   * @returns a function that encodes a number of runs
   */
  async prepare(
    dispatches: readonly Dispatch[],
    kernel: Kernel,
    rows: number,
  ): Promise<(pass: GPUComputePassEncoder, repeats: number) => void> {
    const others = this.#othersFor(dispatches);
    const places = [
      ...(await Promise.all(dispatches.map((dispatch) => this.#bind(dispatch, kernel)))),
      ...(await Promise.all(
        others.map((place, i) => this.#bind(dispatches[i % dispatches.length] as Dispatch, kernel, place)),
      )),
    ].map((bound) => bound.map((each) => ({ ...each, step: 0, workgroups: each.kernel.workgroups(rows) })));
    return (encoder, repeats) => {
      const pass = new BoundPass(encoder, this.#dispatcher.steps);
      for (let i = 0; i < repeats; i++) {
        for (const launch of places[this.#turn++ % places.length] ?? []) pass.launch(launch);
      }
    };
  }

  dispose(): void {
    this.#dispatcher.dispose();
  }

  /** Other weights for these dispatches; software devices read layers slowly, and from memory. */
  #othersFor(dispatches: readonly Dispatch[]): readonly Place[] {
    const own = dispatches.flatMap(({ bind: { weights } }) => (weights?.role === "weights" ? [weights.part] : []));
    const [first] = own;
    if (first === undefined || this.#gpu.profile.software) return [];
    const sizes = this.#weights.parts.map(({ size }) => size);
    const { minStorageBufferOffsetAlignment } = this.#gpu.profile.limits;
    return standIns(sizes[first] as number, new Set(own), sizes, minStorageBufferOffsetAlignment);
  }

  /** @param place where the weights are, instead of the dispatch's own */
  async #bind(dispatch: Dispatch, kernel: Kernel, place?: Place): Promise<readonly BoundKernel[]> {
    const { label, args } = dispatch;
    const key = `${label} ${kernel.name}${place ? ` ${place.part} ${place.offset}` : ""}`;
    const made = this.#bound.get(key);
    if (made) return made;
    const bufferOf = (name: string): GPUBufferBinding | undefined => {
      const role = dispatch.bind[name];
      if (!role) return undefined;
      if (place && role.role === "weights") {
        const { size } = this.#bufferOf(role);
        return { buffer: this.#bufferOf({ role: "weights", part: place.part }), offset: place.offset, size };
      }
      return { buffer: this.#bufferOf(role), offset: role.role === "activation" ? (role.offset ?? 0) : 0 };
    };
    const bound = await this.#dispatcher.bind(kernel, { label, args, bufferOf });
    this.#bound.set(key, bound);
    return bound;
  }

  #bufferOf(role: BufferRole): GPUBuffer {
    if (role.role === "weights") return this.#weights.parts[role.part] as GPUBuffer;
    if (role.role === "params") return this.#weights.params;
    const key = roleKey(role.role === "keys" || role.role === "values" ? { ...role, layer: 0 } : role);
    const buffer = this.#buffers.get(key);
    if (!buffer) throw new Error(`The tuner has no buffer for ${key}`);
    return buffer;
  }

  #own(role: BufferRole, byteLength: number): GPUBuffer {
    const buffer = this.#dispatcher.owned.make(`tuner ${roleKey(role)}`, byteLength, GPUBufferUsage.STORAGE);
    this.#buffers.set(roleKey(role), buffer);
    return buffer;
  }
}
