/**
 * Where the tuner runs single kernels: the model's weights, and buffers of its own in place of a session's. Samples go
 * through the layers in turn, so that their weights come from memory, as they do when tokens are computed.
 */
import type { BufferRole, Dispatch, Plan } from "../compile/plan.ts";
import type { Gpu } from "../gpu/gpu.ts";
import type { PipelineCache } from "../gpu/pipelines.ts";
import { inOrder, type Kernel } from "../kernels/kernel.ts";
import { MOST_PARTIAL_BYTES } from "../kernels/linear.ts";
import { packArgs, packStep, stepByteLength } from "../kernels/step.ts";

/** A model's weights on the GPU. */
export interface Weights {
  /** By index of the weight layout. */
  readonly parts: readonly GPUBuffer[];
  readonly params: GPUBuffer;
}

/** Layers that a sample goes through: more than caches hold. */
const MOST_LAYERS = 8;

/** Bytes for the args of all dispatches and variants. */
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
  readonly #groups = new Map<string, GPUBindGroup>();
  #argsEnd = 0;
  /** Runs so far: which layer is next. */
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

  /** The next runs work on `rows` rows of one sequence, all of which go through the head, before position `end`. */
  setRows(rows: number, end: number): void {
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
   * Makes a kernel ready to run in place of these dispatches.
   * @returns encodes so many runs of it
   */
  async prepare(
    dispatches: readonly Dispatch[],
    kernel: Kernel,
    rows: number,
  ): Promise<(pass: GPUComputePassEncoder, repeats: number) => void> {
    const layers = dispatches.slice(0, MOST_LAYERS);
    const prepared = await Promise.all(
      inOrder(kernel).map(async (each) => ({
        pipeline: await this.#pipelines.get(each),
        groups: layers.map((dispatch) => this.#groupFor(dispatch, each)),
        workgroups: each.workgroups(rows),
      })),
    );
    return (pass, repeats) => {
      pass.setBindGroup(0, this.#stepGroup, [0]);
      for (let i = 0; i < repeats; i++) {
        const layer = this.#turn++ % layers.length;
        for (const { pipeline, groups, workgroups } of prepared) {
          pass.setPipeline(pipeline);
          pass.setBindGroup(1, groups[layer] as GPUBindGroup);
          pass.dispatchWorkgroups(...workgroups);
        }
      }
    };
  }

  dispose(): void {
    for (const buffer of this.#owned) this.#gpu.release(buffer);
    this.#owned.length = 0;
  }

  #groupFor(dispatch: Dispatch, kernel: Kernel): GPUBindGroup {
    const key = `${dispatch.label} ${kernel.name}`;
    const made = this.#groups.get(key);
    if (made) return made;
    const words = packArgs(kernel, dispatch.args) as Uint32Array<ArrayBuffer>;
    const offset = this.#argsEnd;
    const alignment = this.#gpu.device.limits.minUniformBufferOffsetAlignment;
    this.#argsEnd += Math.ceil(words.byteLength / alignment) * alignment;
    if (this.#argsEnd > ARGS_BYTES) throw new Error("The tuner has no room for the args of so many kernels");
    this.#gpu.device.queue.writeBuffer(this.#args, offset, words);
    const entries = kernel.bindings.map(({ name, binding, access }): GPUBindGroupEntry => {
      if (access === "args") return { binding, resource: { buffer: this.#args, offset, size: words.byteLength } };
      const role = dispatch.bind[name];
      if (!role) throw new Error(`${dispatch.label}: the plan connects nothing to ${name} of ${kernel.name}`);
      const start = role.role === "activation" ? (role.offset ?? 0) : 0;
      return { binding, resource: { buffer: this.#bufferOf(role), offset: start } };
    });
    const layout = this.#pipelines.layoutOf(kernel);
    const group = this.#gpu.device.createBindGroup({ label: key, layout, entries });
    this.#groups.set(key, group);
    return group;
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
