/**
 * Compares what a kernel module says of a kernel's bindings and args with its linked WGSL: two args that change places
 * compile, run and give wrong numbers.
 */

import { readInterface } from "../../src/kernels/interface.ts";
import type { ArgField, Kernel, KernelBinding } from "../../src/kernels/kernel.ts";

type Stated = Pick<Kernel, "name" | "bindings" | "args">;

/**
 * What differs, a sentence each. Linking leaves out variables that no function uses, and with them the whole of `args`: a
 * kernel may state those and then nothing depends on them.
 */
export function compareInterface(kernel: Stated, code: string): readonly string[] {
  const linked = readInterface(code, kernel.name);
  const stated = kernel.bindings.map(bindingText);
  const bound = linked.bindings.map(bindingText);
  const left = kernel.bindings.filter(({ name }) => !linked.bindings.some((other) => other.name === name));
  const missing = bound
    .filter((text) => !stated.includes(text))
    .map((text) => `binding ${text} of the shader is not stated`);
  const wrong = kernel.bindings
    .filter((binding) => !left.includes(binding) && !bound.includes(bindingText(binding)))
    .map((binding) => `binding ${bindingText(binding)} differs from the shader's`);
  const taken = left
    .filter(({ binding }) => linked.bindings.some((other) => other.binding === binding))
    .map((binding) => `binding ${bindingText(binding)} has a number that the shader gives to another`);
  const hasArgs = linked.bindings.some(({ access }) => access === "args");
  const [own, theirs] = [kernel.args.map(argText), linked.args.map(argText)];
  const args =
    hasArgs && own.join() !== theirs.join() ? [`args ${own.join(", ")} are ${theirs.join(", ")} in the shader`] : [];
  return [...missing, ...wrong, ...taken, ...args];
}

function bindingText({ binding, name, access }: KernelBinding): string {
  return `${binding} ${name} (${access})`;
}

function argText({ name, type, vec4s }: ArgField): string {
  return `${name}: ${vec4s === undefined ? type : `vec4u × ${vec4s}`}`;
}
