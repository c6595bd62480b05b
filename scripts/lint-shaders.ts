/**
 * Looks at the linked WGSL of every kernel: part of `npm run lint`. Rules: shader-lint/rules.ts; that plans give each kernel
 * exactly the args and buffers that its shader has, and the stage table the structures that shaders read; that no kernel is
 * missing; and that no dispatch requests more workgroups than a device must grant.
 */
import { shaderFiles as instrumentShaders } from "../src/kernels/instrument-shaders.gen.ts";
import { inOrder, type Kernel } from "../src/kernels/kernel.ts";
import { linkShader } from "../src/kernels/link.ts";
import { shaderFiles } from "../src/kernels/shaders.gen.ts";
import { microkernels } from "../src/profile/microkernels.ts";
import { uncovered } from "./shader-lint/coverage.ts";
import { checkDispatch, checkKernel, checkMicrokernel, kernelsOf } from "./shader-lint/dispatches.ts";
import { dispatchesToLint, kernelsToLint, recordedToLint } from "./shader-lint/kernels.ts";
import { lintShader } from "./shader-lint/rules.ts";
import { compareStageLayout } from "./shader-lint/stage-layout.ts";

const MOST_WORKGROUPS = 65535;
/** MAX_ROWS of a step. */
const MOST_ROWS = 256;

const problems = new Map<string, string>();
const seen = new Set<string>();
const kernels = kernelsToLint();
// A dispatch's kernels come right after it, while the linker still has them: linking takes most of the time.
for (const dispatch of dispatchesToLint()) {
  for (const text of await checkDispatch(dispatch)) problems.set(text, text);
  for (const kernel of kernelsOf(dispatch).flatMap(inOrder)) await lintKernel(kernel);
}
for (const kernel of kernels) {
  await lintKernel(kernel);
  const most = workgroupsOf(kernel);
  if (most > MOST_WORKGROUPS) problems.set(kernel.name, `${kernel.name}: ${most} workgroups in a dimension`);
}
for (const { kernel, args = {}, bind } of recordedToLint()) {
  for (const text of await checkKernel(kernel, { label: "attribution", args, bind })) problems.set(text, text);
}
for (const microkernel of microkernels(1e7)) {
  for (const text of await checkMicrokernel(microkernel)) problems.set(text, text);
}
for (const text of uncovered(kernels, { ...shaderFiles, ...instrumentShaders })) problems.set(text, text);
for (const text of compareStageLayout(shaderFiles)) problems.set(text, text);
for (const problem of problems.values()) console.log(problem);
console.log(`Checked ${kernels.length} kernels. ${problems.size} problems.`);
process.exitCode = problems.size > 0 ? 1 : 0;

/** Looks at a kernel, unless it has been looked at. */
async function lintKernel(kernel: Kernel): Promise<void> {
  const key = JSON.stringify(kernel.shader);
  if (seen.has(key)) return;
  seen.add(key);
  const code = await linkShader(kernel.shader);
  for (const { rule, line, text } of lintShader(code)) {
    // A fault of a module shows in every kernel that it is linked into: one of them is reported.
    const fault = `${rule} ${text}`;
    if (!problems.has(fault))
      problems.set(fault, `${kernel.name}: ${rule}: ${text}\n    ${code.split("\n")[line - 1]?.trim() ?? ""}`);
  }
}

function workgroupsOf(kernel: Kernel): number {
  return Math.max(...kernel.workgroups(1), ...kernel.workgroups(MOST_ROWS));
}
