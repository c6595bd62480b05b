/**
 * Least-squares concept erasure (Belrose et al. 2023, arXiv 2306.03819) for one binary concept: the oblique projection that
 * makes the class means equal and changes the activations least, measured by their own covariance Σ.
 *
 * With δ = r⁺ − r⁻, s = Σ⁺δ and μ the mean over both classes: h ← h − ((h − μ)·s / δ·s) δ. The paper writes it through the
 * whitening W = Σ^(−1/2), P = I − W⁺uuᵀW with u = Wδ/‖Wδ‖; for one direction the square roots cancel. Whatever s is, δ is
 * projected out; s decides how little else changes.
 */
import { conjugateGradient, dot } from "./conjugate-gradient.ts";

/** Sums over sentences of a site's activations x and of x·xᵀ, float64. */
export class SecondMoments {
  readonly width: number;
  readonly #products: Float64Array;
  readonly #sum: Float64Array;
  #count = 0;

  constructor(width: number) {
    this.width = width;
    this.#products = new Float64Array(width * width);
    this.#sum = new Float64Array(width);
  }

  add(x: Float32Array): void {
    const { width } = this;
    this.#count++;
    for (let i = 0; i < width; i++) {
      const value = x[i] as number;
      this.#sum[i] = (this.#sum[i] as number) + value;
      if (value === 0) continue;
      const row = i * width;
      for (let j = i; j < width; j++) {
        this.#products[row + j] = (this.#products[row + j] as number) + value * (x[j] as number);
      }
    }
  }

  mean(): Float64Array {
    return this.#sum.map((value) => value / this.#count);
  }

  /** Covariance over all sentences, `[width][width]`. */
  covariance(): Float64Array {
    const { width } = this;
    const mean = this.mean();
    const result = new Float64Array(width * width);
    for (let i = 0; i < width; i++) {
      for (let j = i; j < width; j++) {
        const value =
          (this.#products[i * width + j] as number) / this.#count - (mean[i] as number) * (mean[j] as number);
        result[i * width + j] = value;
        result[j * width + i] = value;
      }
    }
    return result;
  }
}

/** An `affine` stage of method `low_rank` and rank 1: h ← h − (h·v − c)·u. */
export interface Eraser {
  readonly v: Float64Array;
  readonly u: Float64Array;
  readonly c: number;
}

/** The eraser of a direction δ = r⁺ − r⁻ of activations with these moments. */
export function eraserOf(direction: Float64Array, moments: SecondMoments): Eraser {
  const { width } = moments;
  const covariance = moments.covariance();
  const diagonal = Float64Array.from({ length: width }, (_, i) => covariance[i * width + i] as number);
  const product = (x: Float64Array): Float64Array =>
    Float64Array.from({ length: width }, (_, i) => dot(covariance.subarray(i * width, (i + 1) * width), x));
  // δ lies in the range of Σ, which holds it through the spread between the classes, however few sentences there are.
  const s = conjugateGradient(product, direction, { diagonal });
  const scale = dot(direction, s);
  const v = s.map((value) => value / scale);
  return { v, u: direction, c: dot(moments.mean(), v) };
}
