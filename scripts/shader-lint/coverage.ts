/**
 * Whether the kernels that are looked at are all there are: every shader with an entry point, and every condition of every
 * shader file switched on in a kernel that the file is part of.
 */

import type { Kernel } from "../../src/kernels/kernel.ts";

/**
 * What no kernel of a list covers, a sentence each.
 * @param shaders text by path under shaders/, without its ending
 */
export function uncovered(
  kernels: readonly Pick<Kernel, "shader">[],
  shaders: Readonly<Record<string, string>>,
): readonly string[] {
  const imports = new Map(Object.entries(shaders).map(([path, text]) => [path, importsOf(text)]));
  const entries = new Set(kernels.map(({ shader }) => shader.entry));
  /** Conditions that are on in some kernel that a file is part of. */
  const on = new Map(Object.keys(shaders).map((path) => [path, new Set<string>()]));
  for (const entry of entries) {
    const own = kernels.filter(({ shader }) => shader.entry === entry);
    const names = own.flatMap(({ shader: { conditions = {} } }) =>
      Object.keys(conditions).filter((c) => conditions[c]),
    );
    for (const path of reachable(entry, imports)) for (const name of names) on.get(path)?.add(name);
  }
  return Object.entries(shaders).flatMap(([path, text]) => {
    if (text.includes("@compute") && !entries.has(path)) return [`no kernel of shaders/${path}.wgsl is looked at`];
    const missing = conditionsOf(text).filter((name) => !on.get(path)?.has(name));
    return missing.map((name) => `no kernel with ${name} of shaders/${path}.wgsl is looked at`);
  });
}

function reachable(entry: string, imports: ReadonlyMap<string, readonly string[]>): ReadonlySet<string> {
  const seen = new Set([entry]);
  for (const path of seen) for (const next of imports.get(path) ?? []) seen.add(next);
  return seen;
}

/** Modules of `import package::lib::step::step;` and `import package::linear::operands::{args, input};`, as paths. */
function importsOf(text: string): readonly string[] {
  return [...text.matchAll(/import package((?:::\w+)+)(::\{)?/g)].map(([, path = "", many]) => {
    const parts = path.split("::").slice(1);
    return (many ? parts : parts.slice(0, -1)).join("/");
  });
}

/** Names in the conditions of a shader: `@if(q8 || q4)`, `@elif(f16)`. */
function conditionsOf(text: string): readonly string[] {
  const expressions = [...text.matchAll(/@(?:el)?if\(((?:[^()\n]|\([^()\n]*\))*)\)/g)];
  return [...new Set(expressions.flatMap(([, expression = ""]) => expression.match(/[a-z_]\w*/g) ?? []))];
}
