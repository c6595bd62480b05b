/** The kernels whose static figures are published: every design, each once in every way that changes its hot part. */
import { plannedKernels } from "../../scripts/shader-lint/kernels.ts";
import type { Kernel } from "../../src/kernels/kernel.ts";

export interface StaticGroup {
  readonly title: string;
  readonly kernels: readonly Kernel[];
}

/** Names of kernels with captures or stages folded in, or for a part of a matrix: their hot part is that of the plain one. */
const FOLDED = /_tap_|_edits_|_sourced|_part\d|_grouped_|_heads\d|_staged|_z$/;

const groups: readonly (readonly [title: string, names: RegExp])[] = [
  // K = 8192 leaves loops standing that a compiler would unroll for K = 768.
  ["Linear layers, 8192 × 2048, by dtype", /^linear_\w+?_(f32|f16|bf16|q8|q4)_8192x2048_/],
  ["Linear layers, float32, by what follows", /^linear_\w+?_f32_2048x(3072|16384|128256)_/],
  ["Linear layers whose heads read variants", /^linear_grouped/],
  ["Attention", /^attention_/],
  ["Norms", /^(norm|embed)_/],
  ["Vocabulary", /^(argmax|sample|cross_entropy)/],
  ["Sources of edge masks", /^head_sources/],
  ["Backward", /^(backward|mask|variant|row_sums)/],
];

export function staticGroups(): readonly StaticGroup[] {
  const kernels = plannedKernels()
    .filter(({ name }) => !FOLDED.test(name) || name.startsWith("norm_edited"))
    .filter(({ name }, i, all) => all.findIndex((other) => other.name === name) === i);
  return groups.map(([title, names]) => ({ title, kernels: kernels.filter(({ name }) => names.test(name)) }));
}
