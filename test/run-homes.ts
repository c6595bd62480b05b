/**
 * Files that run in one of Node and Chromium when both run: they test what the engine computes and keeps account of, after
 * a model is open, which is the same code on the same SwiftShader (engine/same-bits compares the bits). In both run: how
 * models are found, read and opened, what a device grants, workers, generation, and of every part of the engine the file
 * that compares most of it with what others computed (engine/golden, engine/generate, interventions/golden, fit/golden,
 * kernels of linear layers, attention and norms). Long sweeps of what only computes, on no device, run in one of them too.
 * An environment that runs alone, such as Firefox or `npm test -- --node`, runs all that it can.
 *
 * A sweep that two environments share out (support/turns.ts) is whole in a file that has a home: its cases share kernels,
 * which would compile in both.
 */

/** By the environment. Files whose models need the same kernels have the same, where each kernel compiles once. */
const HOMES = {
  node: [
    "attribution/attribution",
    "attribution/attribution-runs",
    "attribution/attribution-shapes",
    "engine/batch",
    "engine/chosen-tokens",
    "engine/options",
    "engine/perplexity",
    "engine/session",
    "fit/leace",
    "fit/sorting-circuit",
    "interventions/golden-positions",
    "interventions/trace",
    "kernels/argmax",
    "kernels/attention-bits",
    "kernels/backward-attention",
    "kernels/backward-linear",
    "kernels/backward-rows",
    "kernels/cross-entropy",
    "kernels/edge-mask",
    "model/ended-midway",
    "model/lens",
    "profile/profile",
    "reference/golden",
    "reference/random",
  ],
  page: [
    "architectures/transformers",
    "device-report/device-report",
    "engine/batch-bundles",
    "engine/check-finite",
    "engine/edges-of-shape",
    "engine/f16-cache",
    "engine/random",
    "engine/split",
    "engine/split-sums",
    "fit/edges",
    "fit/everywhere",
    "fit/pool",
    "fit/probe",
    "fit/reading",
    "grammar/json-schema",
    "grammar/tokens",
    "interventions/bake",
    "interventions/batch",
    "interventions/capture",
    "interventions/grouped",
    "interventions/identities",
    "interventions/live",
    "interventions/live-prompt",
    "interventions/overflow",
    "interventions/random",
    "interventions/session-roles",
    "jinja/limits",
    "kernels/embed",
    "kernels/head-sources",
    "kernels/sample",
    "kernels/sample-adjusted",
    "model/changed-model",
    "model/compare",
    "model/footprint",
  ],
} as const;

/** Where a file runs when both environments do; undefined if in both. */
export function homeOf(file: string): "node" | "page" | undefined {
  const name = /^test\/(.*)\.test\.ts$/.exec(file)?.[1];
  return (["node", "page"] as const).find((each) => HOMES[each].some((listed) => listed === name));
}

/** Whether a file has its home in the other of two environments that run side by side. */
export function livesElsewhere(file: string, environment: string, environments: readonly string[]): boolean {
  if (!environments.includes("node") || !environments.includes("page")) return false;
  const home = homeOf(file);
  return home !== undefined && home !== environment && (environment === "node" || environment === "page");
}

/** All that have a home. */
export function filesWithHomes(): readonly string[] {
  return [...HOMES.node, ...HOMES.page].map((name) => `test/${name}.test.ts`);
}
