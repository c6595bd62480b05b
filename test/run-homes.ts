/**
 * Files that run in one of Node and Chromium when both run: they test what the engine computes and keeps account of, after
 * a model is open, which is the same code on the same SwiftShader (engine/same-bits compares the bits). In both run: how
 * models are found, read and opened, what a device grants, workers, generation, and of every part of the engine the file
 * that covers most of it (engine/golden, engine/generate, engine/random, interventions/golden, interventions/live,
 * interventions/capture, attribution/attribution-shapes, fit/edges, fit/probe, most of kernels). An environment that runs
 * alone, such as Firefox or `npm test -- --node`, runs all that it can.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";

/** By the environment. Files whose models need the same kernels have the same, where each kernel compiles once. */
const HOMES = {
  node: [
    "attribution/attribution",
    "attribution/attribution-runs",
    "engine/batch",
    "engine/chosen-tokens",
    "engine/perplexity",
    "engine/session",
    "fit/leace",
    "fit/sorting-circuit",
    "interventions/golden-positions",
    "interventions/trace",
    "kernels/attention-bits",
    "model/lens",
  ],
  page: [
    "architectures/transformers",
    "device-report/device-report",
    "engine/check-finite",
    "interventions/bake",
    "interventions/identities",
    "interventions/live-prompt",
    "interventions/session-roles",
    "kernels/head-sources",
    "model/changed-model",
    "model/compare",
    "model/footprint",
  ],
} as const;

/** Whether a file has its home in the other of two environments that run side by side. */
export function livesElsewhere(file: string, environment: string, environments: readonly string[]): boolean {
  if (!environments.includes("node") || !environments.includes("page")) return false;
  const name = /^test\/(.*)\.test\.ts$/.exec(file)?.[1];
  const home = (["node", "page"] as const).find((each) => HOMES[each].some((listed) => listed === name));
  return home !== undefined && home !== environment && (environment === "node" || environment === "page");
}

/** Names in the lists that no file has any more. */
export function staleHomes(root: string): readonly string[] {
  return [...HOMES.node, ...HOMES.page].filter((name) => !existsSync(join(root, "test", `${name}.test.ts`)));
}
