/** What `sluice explain` prints: graph, plan, buffers and the WGSL that the device gets. */

import { bandwidths, decodeCost, estimateMs } from "../compile/cost-model.ts";
import { roleIn } from "../compile/fused.ts";
import {
  allDispatches,
  type BufferRole,
  belongs,
  type Dispatch,
  kernelsIn,
  kernelsOf,
  type Plan,
} from "../compile/plan.ts";
import type { WeightLayout } from "../compile/weight-layout.ts";
import { SluiceError } from "../errors.ts";
import type { Graph } from "../graph/graph.ts";
import { printGraph } from "../graph/print.ts";
import { interfaceOf } from "../kernels/interface.ts";
import { inOrder, type Kernel } from "../kernels/kernel.ts";
import { linkShader } from "../kernels/link.ts";
import { showText } from "../show.ts";
import type { ExplainOptions, ExplainPart } from "./options.ts";

/** @throws SluiceError `usage` for a kernel that the plan does not have */
export async function explainPlan(
  graph: Graph,
  plan: Plan,
  layout: WeightLayout,
  { parts = ["graph", "plan", "buffers", "kernels"], kernel }: ExplainOptions = {},
): Promise<string> {
  const printers: Readonly<Record<ExplainPart, () => string | Promise<string>>> = {
    graph: () => `${heading(`Graph: ${graph.config.model_type}, ${graph.nodes.length} nodes`)}\n${printGraph(graph)}`,
    plan: () => printPlan(plan),
    buffers: () => `${heading("Buffers")}\n${printBuffers(plan, layout)}`,
    kernels: () => printKernels(plan, kernel),
  };
  const printed: string[] = [];
  for (const part of parts) printed.push(await printers[part]());
  return `${printed.join("\n")}\n`;
}

async function printKernels(plan: Plan, wanted: string | undefined): Promise<string> {
  const all = new Map<string, Kernel>();
  for (const kernel of allDispatches(plan).flatMap(kernelsIn)) all.set(kernel.name, kernel);
  const kernels = chooseKernels(all, wanted);
  const shaders = await Promise.all(
    kernels.map(
      async (kernel) => `── ${kernel.name} (summation: ${kernel.summation})\n${await linkShader(kernel.shader)}`,
    ),
  );
  const count = wanted === undefined ? `${kernels.length} kernels` : `${kernels.length} of ${all.size} kernels`;
  return `${heading(`WGSL: ${count}`)}\n${shaders.join("\n\n")}`;
}

function chooseKernels(all: ReadonlyMap<string, Kernel>, wanted: string | undefined): readonly Kernel[] {
  if (wanted === undefined) return [...all.values()];
  const exact = all.get(wanted);
  if (exact) return [exact];
  const some = [...all.values()].filter(({ name }) => name.includes(wanted));
  if (some.length > 0) return some;
  throw new SluiceError("usage", `This plan has no kernel "${showText(wanted)}"`, {
    hint: `It has ${[...all.keys()].join(", ")}.`,
  });
}

async function printPlan(plan: Plan): Promise<string> {
  const phases = [
    ["blocks", plan.body],
    ["final norm, over the rows whose logits are wanted", plan.finalNorm],
    ["head", plan.head],
    ["after the head: greedy", plan.tails.greedy],
    ["after the head: sampling", plan.tails.sample],
    ["after the head: log probabilities", plan.tails.scored],
    ["after the head: loss", plan.tails.loss],
  ] as const;
  const printed: string[] = [];
  for (const [title, dispatches] of phases) printed.push(await printPhase(title, dispatches, plan));
  return [
    heading(planTitle(plan)),
    ...printed,
    heading("What a decode step would take on a GPU"),
    printEstimate(plan),
  ].join("\n");
}

function heading(text: string): string {
  return `\n# ${text}\n`;
}

function planTitle(plan: Plan): string {
  const step = [...plan.body, ...plan.finalNorm, ...plan.head, ...plan.tails.greedy];
  const decode = (keys: number) =>
    step.filter((dispatch) => belongs(dispatch, plan, 1, keys)).flatMap((dispatch) => kernelsOf(dispatch, 1)).length;
  const longer = plan.split ? `, ${decode(plan.split.minKeys)} from ${plan.split.minKeys} positions on` : "";
  const kind = plan.reference ? "reference plan" : plan.cache === "f16" ? "f16-cache plan" : "default plan";
  return (
    `Plan: ${kind}, ${plan.family} kernels, ${decode(1)} dispatches per greedy decode step${longer}\n` +
    `  ${plan.sequences} sequence(s) × ${plan.capacity} positions, steps of at most ${plan.chunkRows} rows and ${plan.chunkOuts} rows of logits`
  );
}

async function printPhase(title: string, dispatches: readonly Dispatch[], plan: Plan): Promise<string> {
  const lines = await Promise.all(dispatches.map((dispatch) => printDispatch(dispatch, plan)));
  return [`  ${title}:`, ...lines].join("\n");
}

async function printDispatch(dispatch: Dispatch, { split }: Plan): Promise<string> {
  const kernels = dispatch.candidates.map(({ maxRows, kernel }) => {
    const names = inOrder(kernel)
      .map(({ name }) => name)
      .join(", then ");
    if (dispatch.candidates.length === 1) return names;
    return `${maxRows === Infinity ? "more" : `≤${maxRows}`} ${dispatch.rows}: ${names}`;
  });
  const interfaces = await Promise.all(kernelsIn(dispatch).map(interfaceOf));
  const names = new Set(interfaces.flatMap(({ bindings }) => bindings.map(({ name }) => name)));
  const bound = Object.entries(dispatch.bind)
    .filter(([name]) => names.has(name))
    .map(([name, role]) => `${name}=${printRole(role)}`);
  const args = Object.entries(dispatch.args).map(([name, value]) => `${name}=${value}`);
  const stages = dispatch.stages ? `\n      stages: ${dispatch.stages.join(", ")}` : "";
  const long = split && `steps of at most ${split.maxRows} rows that see ${split.minKeys} keys or more`;
  const when = dispatch.split === undefined ? "" : `\n      only in ${dispatch.split ? long : `other than ${long}`}`;
  return `    ${dispatch.label}${when}\n      ${kernels.join("\n      ")}\n      ${[...bound, ...args].join(" ")}${stages}`;
}

function printRole(role: BufferRole): string {
  switch (role.role) {
    case "weights":
      return `weights[${role.part}]`;
    case "activation":
      return `activation[${role.index}]${role.offset === undefined ? "" : ` from byte ${role.offset}`}`;
    case "keys":
    case "values":
      return `${role.role}[${role.layer}]`;
    default:
      return role.role;
  }
}

function printBuffers(plan: Plan, layout: WeightLayout): string {
  const lines: string[] = [];
  for (const { label, dtype, n, k, parts } of layout.matrices) {
    for (const part of parts) {
      const range = parts.length > 1 ? `, outputs from ${part.firstStrip * 4}` : "";
      lines.push(`  weights[${part.index}]  ${bytes(part.byteLength)}  ${label} [${n}, ${k}] ${dtype}${range}`);
    }
  }
  lines.push(`  params  ${bytes(layout.paramsBytes)}  gains and biases, float32`);
  plan.activations.forEach((size, i) => lines.push(`  activation[${i}]  ${bytes(size)}`));
  if (plan.partialBytes > 0)
    lines.push(`  partials  ${bytes(plan.partialBytes)}  partial sums over K, before they are added`);
  lines.push(
    `  keys[0..${plan.layers - 1}], values[0..${plan.layers - 1}]  ${bytes(plan.slots * plan.cacheRowBytes)} each, ${plan.slots} slots, ${plan.cache === "f16" ? "float16" : "float32"}`,
  );
  if (plan.stages) {
    lines.push(`  stages  ${bytes(plan.stages.byteLength)}  strengths, programs and vectors of stages`);
    lines.push("  scopes  where stages act; grows with the positions and token ids that they list");
    if (plan.stages.sourceBytes > 0)
      lines.push(`  sources  ${bytes(plan.stages.sourceBytes)}  what sources of masked edges wrote`);
  }
  if (plan.captureBytes > 0) lines.push(`  capture  ${bytes(plan.captureBytes)}`);
  return lines.join("\n");
}

/** An estimate by bytes, dispatches and single workgroups: compile/cost-model.ts. Nothing is measured. */
function printEstimate(plan: Plan): string {
  const position = Math.min(255, plan.capacity - 1);
  const cost = decodeCost(plan, position);
  const alone = [...new Set(cost.alone.map(({ label, layer }) => roleIn(label, layer)))];
  return [
    `  at position ${position}: ${(cost.bytes / 1e6).toFixed(2)} MB, ${(cost.flops / 1e6).toFixed(1)} MFLOP, ${cost.dispatches} dispatches`,
    `  on one workgroup: ${cost.alone.length === 0 ? "none" : `${cost.alone.length} (${alone.join(", ")})`}`,
    ...bandwidths.map((bandwidth) => {
      const ms = estimateMs(cost, bandwidth);
      return `  ${bandwidth.name.padEnd(22)} ${String(bandwidth.gb_per_s).padStart(5)} GB/s  about ${ms.toFixed(3)} ms, ${(1000 / ms).toFixed(0)} tokens/s`;
    }),
  ].join("\n");
}

function bytes(count: number): string {
  return count.toLocaleString("en-US").padStart(13);
}
