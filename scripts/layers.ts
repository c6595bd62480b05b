/** What may import what, as data. See scripts/check-layers.ts. */

/**
 * The layers, lowest first. A module belongs to the longest path that it starts with. It may import from lower layers
 * and from its own path; paths that share a layer do not import each other.
 */
export const layers: readonly (readonly string[])[] = [
  ["src/errors.ts", "src/defaults.ts", "src/show.ts"],
  ["src/arguments/", "src/numbers/", "src/jinja/"],
  ["src/models/config.ts"],
  ["src/formats/", "src/gpu/"],
  ["src/graph/"],
  ["src/models/"],
  ["src/kernels/", "src/interventions/", "src/tokenizer/"],
  ["src/compile/"],
  // Below the model, which offers them, unlike the fits that open sessions.
  ["src/fit/attribution/", "src/tune/"],
  ["src/fit/edges/"],
  ["src/runtime/"],
  ["src/profile/", "src/fit/", "src/evaluate/"],
  ["src/index.ts"],
  ["src/cli/"],
];

/** Imports that point upwards or sideways all the same. */
export const exceptions: readonly { readonly from: string; readonly to: string; readonly reason: string }[] = [
  {
    from: "src/gpu/",
    to: "src/kernels/kernel.ts",
    reason: "pipelines are made from kernels' descriptions; the module declares types and touches nothing",
  },
  {
    from: "src/gpu/",
    to: "src/kernels/link.ts",
    reason: "the pipeline cache compiles what the linker returns, and is keyed by it",
  },
  {
    from: "src/runtime/model.ts",
    to: "src/profile/profile.ts",
    reason: "model.profile() is the profiler under another name; the profiler knows the model as a type alone",
  },
];

/** Modules that may use Node's builtins and the packages that exist for Node alone. All others run in pages too. */
export const nodeModules = /^src\/(?:gpu|formats|tune)\/node[^/]*\.ts$|^src\/cli\//;

/** Packages that only work in Node. */
export const nodePackages: readonly string[] = ["webgpu", "@sparticuz/chromium"];

/** A module longer than this does more than one thing. */
export const maxLines = 400;
