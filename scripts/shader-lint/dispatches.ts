/**
 * Whether plans give each kernel exactly the args that its shader has, and connect every buffer that it binds: what a session
 * refuses when it prepares a step, for all plans at once and without a device.
 */

import type { Dispatch } from "../../src/compile/plan.ts";
import { interfaceOf } from "../../src/kernels/interface.ts";
import { type ArgValues, inOrder, type Kernel } from "../../src/kernels/kernel.ts";
import { checkArgs, packArgs } from "../../src/kernels/step.ts";
import type { Microkernel } from "../../src/profile/microkernels.ts";

/** The kernels that may serve a dispatch, and those that tuning may choose in their place; merges go with their kernels. */
export function kernelsOf({ candidates, operation }: Dispatch): readonly Kernel[] {
  return [...candidates, ...(operation?.variants() ?? [])].map(({ kernel }) => kernel);
}

/** What is wrong between a dispatch and the kernels that may serve it, a sentence each. */
export async function checkDispatch(dispatch: Dispatch): Promise<readonly string[]> {
  const { label, args, bind } = dispatch;
  const checks = kernelsOf(dispatch).map((kernel) => checkKernel(kernel, { label, args, bind }));
  return (await Promise.all(checks)).flat();
}

/** The mismatches between a kernel, with its merge, and its arguments, one sentence each. */
export async function checkKernel(
  kernel: Kernel,
  { label, args, bind }: { readonly label: string; readonly args: ArgValues; readonly bind: Readonly<object> },
): Promise<readonly string[]> {
  const interfaces = await Promise.all(inOrder(kernel).map(interfaceOf));
  const unbound = interfaces
    .flatMap(({ bindings }) => bindings)
    .filter(({ name, access }) => access !== "args" && !(name in bind))
    .map(({ name }) => `${label}: nothing is connected to ${name} of ${kernel.name}`);
  return [...(await checkValues(kernel, args)), ...unbound];
}

/** The same for a kernel that measures a ceiling. */
export function checkMicrokernel({ kernel, args }: Pick<Microkernel, "kernel" | "args">): Promise<readonly string[]> {
  return checkValues(kernel, args);
}

/** What a kernel, with its merge, lacks or has no use for. */
async function checkValues(kernel: Kernel, values: ArgValues): Promise<readonly string[]> {
  const blocks = await Promise.all(
    inOrder(kernel).map(async (each) => ({
      name: each.name,
      args: (await interfaceOf(each)).args,
      ...(each.args && { own: each.args }),
    })),
  );
  return [() => checkArgs(blocks, values), ...blocks.map((block) => () => packArgs(block, values))].flatMap((check) => {
    try {
      check();
      return [];
    } catch (error) {
      return [(error as Error).message];
    }
  });
}
