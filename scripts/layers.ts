/** What may import what, as data. See scripts/check-layers.ts. */

/**
 * The layers, lowest first. A module belongs to the longest path that it starts with. It may import from lower layers
 * and from its own path; paths that share a layer do not import each other.
 */
export const layers: readonly (readonly string[])[] = [
  ["src/errors.ts", "src/defaults.ts", "src/show.ts", "src/model-config.ts", "src/resources.ts"],
  ["src/on-abort.ts", "src/arguments/", "src/numbers/", "src/jinja/", "src/grammar/"],
  ["src/formats/", "src/graph/", "src/kernels/"],
  ["src/hub/"],
  ["src/gpu/", "src/tokenizer/", "src/interventions/", "src/architectures/"],
  ["src/execution/", "src/adapters/"],
  ["src/compile/"],
  ["src/runtime/", "src/tune/", "src/attribution/"],
  ["src/model/"],
  ["src/shards/"],
  ["src/fit/", "src/profile/", "src/evaluate/"],
  ["src/device-report/"],
  ["src/index.ts"],
  ["src/worker/", "src/serve/", "src/queue/"],
  ["src/cli/"],
];

/** Modules that may use Node's builtins and the packages that exist only for Node. All others run in pages too. */
export const nodeModules = /^src\/(?:gpu|formats|hub|tune|serve|queue)\/node[^/]*\.ts$|^src\/cli\//;

/** Packages that only work in Node. */
export const nodePackages: readonly string[] = ["webgpu", "@sparticuz/chromium"];

/** A module longer than this does more than one thing. */
export const maxLines = 400;
