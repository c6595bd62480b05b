/**
 * Whether plans give each kernel exactly the args that its shader has, and connect every buffer that it binds: what a session
 * refuses when it prepares a step, for all plans at once and without a device.
 */

import type { Dispatch } from "../../src/compile/plan.ts";
import { interfaceOf } from "../../src/kernels/interface.ts";
import { type ArgValues, inOrder, type Kernel } from "../../src/kernels/kernel.ts";
import { checkArgs, packArgs } from "../../src/kernels/step.ts";
import type { Microkernel } from "../../src/profile/microkernels.ts";

/** What is wrong between a dispatch and the kernels that may serve it, a sentence each. */
export async function checkDispatch(dispatch: Dispatch): Promise<readonly string[]> {
  const { label, args, bind } = dispatch;
  const wrong: string[] = [];
  for (const { kernel } of [...dispatch.candidates, ...(dispatch.operation?.variants() ?? [])]) {
    wrong.push(...(await checkValues(kernel, args)));
    const interfaces = await Promise.all(inOrder(kernel).map(interfaceOf));
    for (const { name, access } of interfaces.flatMap(({ bindings }) => bindings)) {
      if (access !== "args" && !bind[name]) wrong.push(`${label}: nothing is connected to ${name} of ${kernel.name}`);
    }
  }
  return wrong;
}

/** The same for a kernel that measures a ceiling. */
export function checkMicrokernel({ kernel, args }: Pick<Microkernel, "kernel" | "args">): Promise<readonly string[]> {
  return checkValues(kernel, args);
}

/** What a kernel, with its merge, lacks or has no use for. */
export async function checkValues(kernel: Kernel, values: ArgValues): Promise<readonly string[]> {
  const blocks = await Promise.all(
    inOrder(kernel).map(async (each) => ({ name: each.name, args: (await interfaceOf(each)).args })),
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
