/** The buffers of a session: one for each role that its plans bind, but for the weights, which it only borrows. */
import { type BufferRole, type Plan, roleKey } from "../compile/plan.ts";
import type { OwnedBuffers } from "../execution/owned-buffers.ts";
import type { Gpu } from "../gpu/gpu.ts";
import { SEGMENT_WORDS } from "../kernels/fit/pool.ts";
import { adjustmentBytes, LOGPROB_WORDS, SETTING_BYTES } from "../kernels/sample/sample.ts";
import type { GpuWeights } from "./weights.ts";

/** Of a new session's scope buffer: positions that list hundreds of tokens make it grow. */
const SCOPE_BYTES = 4096;

export interface SessionBufferOptions {
  readonly gpu: Gpu;
  readonly weights: GpuWeights;
  readonly plan: Plan;
  /** A plan that takes turns with the first. */
  readonly plain?: Plan;
  /** `[capacity, head_dim/2]` pairs (cos, sin), for models that rotate. */
  readonly rope?: Float32Array<ArrayBuffer>;
}

export class SessionBuffers {
  readonly #owned: OwnedBuffers;
  readonly #byRole = new Map<string, GPUBuffer>();
  /** Bytes of buffers that are made when a kernel that reads them is first bound. */
  readonly #later: ReadonlyMap<string, number>;

  /** @param owned frees the buffers */
  constructor(owned: OwnedBuffers, { gpu, weights, plan, plain, rope }: SessionBufferOptions) {
    this.#owned = owned;
    this.#later = new Map([
      ["adjustments", plan.sequences * adjustmentBytes(plan.logits?.stride ?? 0)],
      ["allowed", plan.sequences * plan.seenWords * 4],
      ["logprobs", plan.sequences * (plan.capacity + 1) * LOGPROB_WORDS * 4],
    ]);
    const add = (role: BufferRole, byteLength: number, contents?: Float32Array<ArrayBuffer>): void => {
      const buffer = owned.make(roleKey(role), byteLength, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC);
      if (contents) gpu.write(buffer, 0, contents);
      this.#byRole.set(roleKey(role), buffer);
    };
    weights.parts.forEach((buffer, part) => this.#byRole.set(roleKey({ role: "weights", part }), buffer));
    this.#byRole.set(roleKey({ role: "params" }), weights.params);
    // The plans take turns, so they may use the same buffers for different values.
    const others = plain?.activations ?? [];
    for (let index = 0; index < Math.max(plan.activations.length, others.length); index++) {
      add({ role: "activation", index }, Math.max(plan.activations[index] ?? 0, others[index] ?? 0));
    }
    const partialBytes = Math.max(plan.partialBytes, plain?.partialBytes ?? 0);
    if (partialBytes > 0) add({ role: "partials" }, partialBytes);
    if (plan.stages) {
      add({ role: "stages" }, plan.stages.byteLength);
      add({ role: "scopes" }, SCOPE_BYTES);
      if (plan.stages.sourceBytes > 0) add({ role: "sources" }, plan.stages.sourceBytes);
    }
    for (let layer = 0; layer < plan.layers; layer++) {
      add({ role: "keys", layer }, plan.slots * plan.cacheRowBytes);
      add({ role: "values", layer }, plan.slots * plan.cacheRowBytes);
    }
    add({ role: "tokens" }, plan.sequences * (plan.capacity + 1) * 4);
    add({ role: "slots" }, plan.sequences * plan.capacity * 4);
    add({ role: "settings" }, plan.sequences * SETTING_BYTES);
    add({ role: "seen" }, plan.sequences * plan.seenWords * 4);
    add({ role: "overflow" }, plan.sequences * 4);
    add({ role: "losses" }, plan.chunkOuts * 4);
    if (rope) add({ role: "rope" }, rope.byteLength, rope);
    // Where captures take turns, stages may leave a site to another operation, and so more of them at a time.
    const captureBytes = Math.max(plan.captureBytes, plain?.captureBytes ?? 0);
    if (captureBytes > 0) add({ role: "capture" }, captureBytes);
    if (plan.pooled) {
      add({ role: "segments" }, 2 * plan.sequences * SEGMENT_WORDS * 4);
      add({ role: "pooled" }, plan.sequences * plan.pooled.stride * 4);
    }
  }

  /** The buffer of a role. Logits have no buffer of their own: they are an activation of the plan that ran. */
  of(role: BufferRole): GPUBuffer {
    const key = roleKey(role);
    const later = this.#later.get(key);
    if (later !== undefined && !this.#byRole.has(key)) {
      this.#byRole.set(key, this.#owned.make(key, later, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC));
    }
    const buffer = this.#byRole.get(key);
    if (!buffer) throw new Error(`The session has no buffer for ${roleKey(role)}`);
    return buffer;
  }

  /**
   * Grows the scope buffer or the stage table to at least this size; its contents are lost.
   * @param most bytes that it may have
   * @returns whether the buffer changed
   */
  grow(role: "scopes" | "stages", byteLength: number, most = Number.POSITIVE_INFINITY): boolean {
    const key = roleKey({ role });
    const old = this.of({ role });
    if (old.size >= byteLength) return false;
    const size = Math.max(byteLength, Math.min(2 ** Math.ceil(Math.log2(byteLength)), most));
    this.#owned.release(old);
    this.#byRole.set(key, this.#owned.make(key, size, GPUBufferUsage.STORAGE));
    return true;
  }
}
