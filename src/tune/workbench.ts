/**
 * Where the tuner runs single kernels: the model's weights, and its own buffers instead of a session's. Samples go
 * through all layers in turn, and on GPUs also through other weights of the model (stand-ins.ts), so that weights come
 * from memory, as they do when tokens are computed. Limits: one layer's keys and values stand in for all, and the head's
 * single matrix is always the same; a GPU may have those in its cache.
 */
import type { BufferRole, Dispatch, Plan } from "../compile/plan.ts";
import type { PipelineCache } from "../execution/pipelines.ts";
import type { Gpu } from "../gpu/gpu.ts";
import { inOrder, type Kernel } from "../kernels/kernel.ts";
import { MOST_PARTIAL_BYTES } from "../kernels/linear/linear.ts";
import { packArgs, packStep, stepByteLength } from "../kernels/step.ts";
import { type Place, standIns } from "./stand-ins.ts";

/** A model's weights on the GPU. */
export interface Weights {
  /** By index of the weight layout. */
  readonly parts: readonly GPUBuffer[];
  readonly params: GPUBuffer;
}

/** Bytes for the args of an operation's dispatches and variants. */
const ARGS_BYTES = 1 << 18;

export class Workbench {
  readonly #gpu: Gpu;
  readonly #pipelines: PipelineCache;
  readonly #plan: Plan;
  readonly #weights: Weights;
  readonly #owned: GPUBuffer[] = [];
  readonly #buffers = new Map<string, GPUBuffer>();
  readonly #step: GPUBuffer;
  readonly #stepGroup: GPUBindGroup;
  readonly #args: GPUBuffer;
  /** Buffers of the operation being measured, and the args in them. */
  readonly #groups = new Map<string, GPUBindGroup>();
  readonly #argsAt = new Map<string, number>();
  #argsEnd = 0;
  /** Runs so far, which determine the next place. */
  #turn = 0;

  constructor(gpu: Gpu, pipelines: PipelineCache, plan: Plan, weights: Weights, rope?: Float32Array<ArrayBuffer>) {
    this.#gpu = gpu;
    this.#pipelines = pipelines;
    this.#plan = plan;
    this.#weights = weights;
    const { STORAGE, UNIFORM } = GPUBufferUsage;
    plan.activations.forEach((bytes, index) => this.#own(roleKey({ role: "activation", index }), bytes, STORAGE));
    // The variants may leave more partial sums than the plan's own kernels.
    this.#own("partials", MOST_PARTIAL_BYTES, STORAGE);
    // One layer's cache stands for all.
    for (const role of ["keys", "values"]) this.#own(role, plan.slots * plan.cacheRowBytes, STORAGE);
    const slots = Uint32Array.from({ length: plan.capacity }, (_, i) => i);
    gpu.device.queue.writeBuffer(this.#own("slots", slots.byteLength, STORAGE), 0, slots);
    if (rope) gpu.device.queue.writeBuffer(this.#own("rope", rope.byteLength, STORAGE), 0, rope);
    this.#step = this.#own("step", stepByteLength(plan.maxRows), UNIFORM);
    this.#args = this.#own("args", ARGS_BYTES, UNIFORM);
    this.#stepGroup = gpu.device.createBindGroup({
      layout: pipelines.stepLayout,
      entries: [{ binding: 0, resource: { buffer: this.#step, size: stepByteLength(plan.maxRows) } }],
    });
  }

  /**
   * Begins another operation or number of rows: earlier preparations are dropped.
   * @param rows of one sequence, all of which go through the head, before position `end`
   */
  begin(rows: number, end: number): void {
    this.#groups.clear();
    this.#argsAt.clear();
    this.#argsEnd = 0;
    const first = Math.max(0, end - rows);
    const list = Array.from({ length: rows }, (_, i) => {
      return { token_index: 0, position: first + i, slot: first + i, sequence: 0 };
    });
    const outs = list
      .slice(0, this.#plan.chunkOuts)
      .map(({ position }, row) => ({ row, token_index: 0, sequence: 0, position }));
    const words = packStep({ rows: list, outs }, this.#plan.maxRows) as Uint32Array<ArrayBuffer>;
    this.#gpu.device.queue.writeBuffer(this.#step, 0, words);
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
    const prepared = await Promise.all(
      inOrder(kernel).map(async (each) => ({
        pipeline: await this.#pipelines.get(each),
        groups: [
          ...dispatches.map((dispatch) => this.#groupFor(dispatch, each)),
          ...others.map((place, i) => this.#groupFor(dispatches[i % dispatches.length] as Dispatch, each, place)),
        ],
        workgroups: each.workgroups(rows),
      })),
    );
    const places = dispatches.length + others.length;
    return (pass, repeats) => {
      pass.setBindGroup(0, this.#stepGroup, [0]);
      for (let i = 0; i < repeats; i++) {
        const place = this.#turn++ % places;
        for (const { pipeline, groups, workgroups } of prepared) {
          pass.setPipeline(pipeline);
          pass.setBindGroup(1, groups[place] as GPUBindGroup);
          pass.dispatchWorkgroups(...workgroups);
        }
      }
    };
  }

  dispose(): void {
    for (const buffer of this.#owned) this.#gpu.release(buffer);
    this.#owned.length = 0;
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
  #groupFor(dispatch: Dispatch, kernel: Kernel, place?: Place): GPUBindGroup {
    const key = `${dispatch.label} ${kernel.name}${place ? ` ${place.part} ${place.offset}` : ""}`;
    const made = this.#groups.get(key);
    if (made) return made;
    const words = packArgs(kernel, dispatch.args) as Uint32Array<ArrayBuffer>;
    const offset = this.#placeArgs(words);
    const entries = kernel.bindings.map(({ name, binding, access }): GPUBindGroupEntry => {
      if (access === "args") return { binding, resource: { buffer: this.#args, offset, size: words.byteLength } };
      const role = dispatch.bind[name];
      if (!role) throw new Error(`${dispatch.label}: the plan connects nothing to ${name} of ${kernel.name}`);
      if (place && role.role === "weights") {
        const { size } = this.#bufferOf(role);
        const buffer = this.#bufferOf({ role: "weights", part: place.part });
        return { binding, resource: { buffer, offset: place.offset, size } };
      }
      const start = role.role === "activation" ? (role.offset ?? 0) : 0;
      return { binding, resource: { buffer: this.#bufferOf(role), offset: start } };
    });
    const layout = this.#pipelines.layoutOf(kernel);
    const group = this.#gpu.device.createBindGroup({ label: key, layout, entries });
    this.#groups.set(key, group);
    return group;
  }

  /** Equal args are stored once: layers share most of theirs. @returns their offset */
  #placeArgs(words: Uint32Array<ArrayBuffer>): number {
    const key = words.join();
    const placed = this.#argsAt.get(key);
    if (placed !== undefined) return placed;
    const offset = this.#argsEnd;
    const alignment = this.#gpu.device.limits.minUniformBufferOffsetAlignment;
    this.#argsEnd += Math.ceil(words.byteLength / alignment) * alignment;
    if (this.#argsEnd > ARGS_BYTES) throw new Error("The tuner has no room for the args of this many kernels");
    this.#gpu.device.queue.writeBuffer(this.#args, offset, words);
    this.#argsAt.set(key, offset);
    return offset;
  }

  #bufferOf(role: BufferRole): GPUBuffer {
    const buffer =
      role.role === "weights"
        ? this.#weights.parts[role.part]
        : role.role === "params"
          ? this.#weights.params
          : this.#buffers.get(roleKey(role));
    if (!buffer) throw new Error(`The tuner has no buffer for ${roleKey(role)}`);
    return buffer;
  }

  #own(key: string, byteLength: number, usage: GPUBufferUsageFlags): GPUBuffer {
    const size = Math.max(16, Math.ceil(byteLength / 16) * 16);
    const buffer = this.#gpu.createBuffer(`tuner ${key}`, size, usage | GPUBufferUsage.COPY_DST);
    this.#owned.push(buffer);
    this.#buffers.set(key, buffer);
    return buffer;
  }
}

function roleKey(role: BufferRole): string {
  return role.role === "activation" ? `activation ${role.index}` : role.role;
}
