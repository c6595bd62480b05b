/**
 * The learner of Circuit Breaking (arXiv 2309.05973): a mask on every edge, initially 1, stepped by Adam and clamped
 * to [0, 1]. The objective is good loss − badWeight · bad loss − ramp · Σm, where the ramp, which draws edges back to 1, grows from 0.
 * Every 50 epochs the mask is rounded at ½. Steps run on the host in float64; an epoch is one step over all texts.
 */
import type { Objective } from "./objective.ts";

/** As in the paper's code. */
const LEARNING_RATE = 0.05;
const ROUND_EVERY = 50;

export interface LearnOptions {
  readonly epochs: number;
  /** The ramp's last value; its first is 0. */
  readonly ramp: number;
  readonly onProgress: (text: string) => void;
}

/** The rounded mask: 0 or 1. */
export async function learnMasks(objective: Objective, options: LearnOptions): Promise<Float64Array> {
  const { epochs, ramp, onProgress } = options;
  const mask = new Float64Array(objective.shape[0] * objective.shape[1]).fill(1);
  const optimizer = new Adam(mask.length, LEARNING_RATE);
  for (let epoch = 1; epoch <= epochs; epoch++) {
    const { losses, gradient } = await objective.gradient(mask);
    const strength = (ramp * epoch) / epochs;
    for (const edge of objective.edges) gradient[edge] = (gradient[edge] as number) - strength;
    optimizer.step(mask, gradient, objective.edges);
    for (const edge of objective.edges) mask[edge] = Math.min(Math.max(mask[edge] as number, 0), 1);
    if (epoch % ROUND_EVERY === 0) round(mask);
    const good = losses.good.toFixed(3);
    onProgress(`epoch ${epoch} of ${epochs}: good ${good}, bad ${losses.bad.toFixed(3)}`);
  }
  round(mask);
  return mask;
}

function round(mask: Float64Array): void {
  for (let i = 0; i < mask.length; i++) mask[i] = (mask[i] as number) < 0.5 ? 0 : 1;
}

/** Adam (arXiv 1412.6980), which is the paper's AdamW without its decay, with PyTorch's defaults, in float64. */
export class Adam {
  readonly #rate: number;
  readonly #mean: Float64Array;
  readonly #square: Float64Array;
  #steps = 0;

  constructor(length: number, rate: number) {
    this.#rate = rate;
    this.#mean = new Float64Array(length);
    this.#square = new Float64Array(length);
  }

  /** Moves the listed values against their gradient. */
  step(values: Float64Array, gradient: Float64Array, indices: readonly number[]): void {
    const [beta1, beta2, epsilon] = [0.9, 0.999, 1e-8];
    this.#steps++;
    const correction1 = 1 - beta1 ** this.#steps;
    const correction2 = 1 - beta2 ** this.#steps;
    for (const i of indices) {
      const g = gradient[i] as number;
      const mean = beta1 * (this.#mean[i] as number) + (1 - beta1) * g;
      const square = beta2 * (this.#square[i] as number) + (1 - beta2) * g * g;
      this.#mean[i] = mean;
      this.#square[i] = square;
      values[i] =
        (values[i] as number) - (this.#rate * (mean / correction1)) / (Math.sqrt(square / correction2) + epsilon);
    }
  }
}
