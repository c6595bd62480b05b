/**
 * What a kernel binds and which constants a dispatch gives it, read from its linked WGSL, so that neither is stated twice.
 * Not a WGSL parser: it reads the module variables of group 1 and the structure of the `args` uniform, as the shaders under
 * shaders/ declare them, and refuses what it cannot place.
 */
import { SluiceError } from "../errors.ts";
import type { Kernel } from "./kernel.ts";
import { linkShader } from "./link.ts";

/** How group 1 binds a buffer. `args` is the uniform block of this dispatch's constants. */
export type BindingAccess = "args" | "read" | "read_write";

export interface KernelBinding {
  /** The variable's name in the shader, and the role that the planner connects a buffer to. */
  readonly name: string;
  /** `@binding` in `@group(1)`. */
  readonly binding: number;
  readonly access: BindingAccess;
}

/** A field of the `args` uniform, in declaration order: 4 bytes, or a table of vec4s, which starts on a vec4. */
export interface ArgField {
  readonly name: string;
  readonly type: "u32" | "f32";
  /** Length of a `vec4u` (1) or an `array<vec4u>` in vec4s; its value is an array of numbers. */
  readonly vec4s?: number;
}

export interface KernelInterface {
  /** Ascending by binding number. */
  readonly bindings: readonly KernelBinding[];
  readonly args: readonly ArgField[];
}

const VARIABLE = /@group\(1\)\s*@binding\((\d+)\)\s*var<\s*(\w+)\s*(?:,\s*(\w+)\s*)?>\s*(\w+)\s*:\s*([^;]+);/g;

/**
 * The interface of a kernel.
 * @param code linked WGSL
 * @param kernel its name, for errors
 * @throws SluiceError `gpu` for a declaration that this module does not understand, or a binding that is there twice
 */
export function readInterface(code: string, kernel: string): KernelInterface {
  const refuse = (what: string): never => {
    throw new SluiceError("gpu", `Kernel ${kernel}: ${what}`);
  };
  const plain = code.replace(/\/\/.*/g, "");
  const bindings: KernelBinding[] = [];
  let args: readonly ArgField[] = [];
  for (const [, number, space, mode, name = "", type = ""] of plain.matchAll(VARIABLE)) {
    const binding = Number(number);
    if (bindings.some((other) => other.binding === binding)) refuse(`two variables have binding ${binding}`);
    if (space === "uniform") {
      if (name !== "args") refuse(`the uniform of group 1 is called ${name}, not args`);
      args = fieldsOf(plain, type.trim(), refuse);
      bindings.push({ name, binding, access: "args" });
    } else if (space === "storage") {
      bindings.push({ name, binding, access: mode === "read_write" ? "read_write" : "read" });
    } else refuse(`${name} is in the address space ${space}`);
  }
  if (bindings.length !== plain.split("@group(1)").length - 1)
    refuse("a variable of group 1 is declared in another way");
  return { bindings: bindings.sort((a, b) => a.binding - b.binding), args };
}

function fieldsOf(code: string, structure: string, refuse: (what: string) => never): readonly ArgField[] {
  const body = new RegExp(`\\bstruct\\s+${structure}\\s*\\{([^}]*)\\}`).exec(code)?.[1];
  if (body === undefined) return refuse(`args is of type ${structure}, which is not a structure`);
  const members = [...body.matchAll(/(\w+)\s*:\s*(\w+(?:<[^>]*>)?)/g)];
  return members.map(([, name = "", type = ""]): ArgField => {
    if (type === "u32" || type === "f32") return { name, type };
    if (type === "vec4u") return { name, type: "u32", vec4s: 1 };
    const length = /^array<\s*vec4u\s*,\s*(\w+)\s*>$/.exec(type)?.[1];
    if (length === undefined) return refuse(`args.${name} is of type ${type}`);
    const value = new RegExp(`\\bconst\\s+${length}\\s*=\\s*(\\d+)u?\\s*;`).exec(code)?.[1] ?? length;
    const vec4s = Number.parseInt(value, 10);
    return Number.isNaN(vec4s) ? refuse(`args.${name} has ${length} elements`) : { name, type: "u32", vec4s };
  });
}

/** The interface of a kernel that is not compiled yet. */
export async function interfaceOf({ name, shader }: Pick<Kernel, "name" | "shader">): Promise<KernelInterface> {
  return readInterface(await linkShader(shader), name);
}
