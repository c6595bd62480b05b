/** Choices of kernels that no tuner measured. */
import { allDispatches, type Plan } from "../../src/compile/plan.ts";
import {
  type KernelChoices,
  type Operation,
  operationKey,
  type RowBucket,
  rowBuckets,
  variantsFor,
} from "../../src/kernels/variants.ts";

/** The operations of a plan, each once. */
export function operationsOf(plan: Plan): readonly Operation[] {
  const all = allDispatches(plan).flatMap(({ operation }) => (operation ? [operation] : []));
  return [...new Map(all.map((operation) => [operationKey(operation), operation])).values()];
}

/** Choices for every operation of a plan, drawn by `pick`. */
export function choicesFor(plan: Plan, pick: (names: readonly string[]) => string | undefined): KernelChoices {
  const choices: Record<string, Partial<Record<RowBucket, string>>> = {};
  for (const operation of operationsOf(plan)) {
    const own = rowBuckets.map((bucket) => [bucket, pick(variantsFor(operation, bucket).map(({ name }) => name))]);
    choices[operationKey(operation)] = Object.fromEntries(own.filter(([, name]) => name !== undefined));
  }
  return choices;
}
