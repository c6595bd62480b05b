/** A model's fused operations, by what they are to attribution: layers of two halves between an embedding and a head. */
import { type FusedLinear, type FusedNorm, type FusedOp, labelOf } from "../compile/fused.ts";
import { kernelDtype } from "../compile/lower-context.ts";
import { linearSources, tableSource, vectorSource, type WeightLayout } from "../compile/weight-layout.ts";
import { SluiceError } from "../errors.ts";
import type { Pace } from "../execution/pacer.ts";
import type { PipelineCache } from "../execution/pipelines.ts";
import type { Gpu } from "../gpu/open.ts";
import type { Graph, MatrixRef, Node } from "../graph/graph.ts";
import type { KernelFamily } from "../kernels/kernel.ts";
import type { WeightDtype } from "../kernels/weight-dtype.ts";
import type { ModelConfig } from "../model-config.ts";

/** What attribution needs of a loaded model. */
export interface AttributionParts {
  readonly config: ModelConfig;
  /** Of the model without interventions. */
  readonly graph: Pick<Graph, "nodes">;
  readonly ops: readonly FusedOp[];
  readonly layout: WeightLayout;
  readonly gpu: Gpu;
  readonly pipelines: PipelineCache;
  readonly family: KernelFamily;
  readonly reference: boolean;
  /** A buffer for each part of the layout, and the gains and biases. */
  readonly weights: { readonly parts: readonly GPUBuffer[]; readonly params: GPUBuffer };
  readonly pace: Pace;
}

/** A matrix on the GPU, in its parts. */
export interface PlacedMatrix {
  readonly dtype: WeightDtype;
  /** Outputs, padding between parts of a gated pair included. */
  readonly n: number;
  readonly k: number;
  readonly parts: readonly { readonly buffer: GPUBuffer; readonly firstStrip: number; readonly strips: number }[];
  /** First vec4 of the bias in params; absent without one. */
  readonly bias: number | undefined;
}

export interface PlacedNorm {
  readonly kind: "layer" | "rms";
  readonly gain: number;
  /** 0 without one. */
  readonly bias: number;
  readonly eps: number;
}

export interface LayerParts {
  readonly attnNorm: PlacedNorm;
  readonly qkv: PlacedMatrix;
  readonly rope: boolean;
  readonly scale: number;
  readonly window: number;
  readonly output: PlacedMatrix;
  readonly mlpNorm: PlacedNorm;
  /** c_fc, or gate and up in turns of strips. */
  readonly inner: PlacedMatrix;
  readonly gated: boolean;
  readonly down: PlacedMatrix;
}

export interface PlacedModel {
  readonly tokens: PlacedMatrix;
  readonly positions: PlacedMatrix | undefined;
  readonly layers: readonly LayerParts[];
  readonly finalNorm: PlacedNorm;
  readonly head: PlacedMatrix;
}

/** What the backward half has a gradient of; models with any other operation are refused. */
const differentiable: ReadonlySet<Node["op"]> = new Set([
  "embed",
  "norm",
  "linear",
  "rope",
  "cache",
  "attention",
  "activation",
  "multiply",
  "add",
  "select_outs",
]);

/**
 * Finds every operation and where its weights are.
 * @throws SluiceError `usage` for a model with an operation that is not differentiated, or whose blocks are made of others
 */
export function placeModel({ graph, ops, layout, weights }: AttributionParts): PlacedModel {
  const foreign = graph.nodes.find(({ op }) => !differentiable.has(op));
  if (foreign) throw refusal(`the operation ${foreign.op} has no backward pass`);
  const place = (source: ReturnType<typeof linearSources>): PlacedMatrix => {
    const { dtype, n, k, parts } = layout.matrix(source.matrix);
    return {
      dtype: kernelDtype(dtype),
      n,
      k,
      parts: parts.map(({ index, firstStrip, strips }) => ({
        buffer: weights.parts[index] as GPUBuffer,
        firstStrip,
        strips,
      })),
      bias: source.bias && layout.vectorOffset(source.bias),
    };
  };
  const table = (ref: MatrixRef): PlacedMatrix => place({ matrix: tableSource(ref), bias: undefined });
  const linear = (op: FusedLinear): PlacedMatrix => place(linearSources(op));
  const norm = ({ node: { kind, gain, bias, eps } }: FusedNorm): PlacedNorm => ({
    kind,
    gain: layout.vectorOffset(vectorSource(gain)),
    bias: bias ? layout.vectorOffset(vectorSource(bias)) : 0,
    eps,
  });

  const rest = [...ops];
  const next = <Kind extends FusedOp["kind"]>(kind: Kind, ...roles: readonly string[]): OpOf<Kind> => {
    const op = rest.shift();
    if (op?.kind === kind && roles.includes(op.role)) return op as OpOf<Kind>;
    const found = op ? labelOf(op.role, op.layer) : "nothing";
    throw refusal(`where its blocks should have ${roles.join(" or ")}, there is ${found}`);
  };
  const { node: embed } = next("embed", "embed");
  const layers: LayerParts[] = [];
  while (rest.length > 2) {
    const attnNorm = next("norm", "attn.norm");
    const qkv = next("linear", "attn.qkv");
    const { node: attention } = next("attention", "attn.core");
    const output = next("linear", "attn.out");
    const mlpNorm = next("norm", "mlp.norm");
    const inner = next("linear", "mlp.gate_up", "mlp.up");
    const down = next("linear", "mlp.down");
    layers.push({
      attnNorm: norm(attnNorm),
      qkv: linear(qkv),
      rope: qkv.epilogue.kind === "qkv" && qkv.epilogue.rope,
      scale: attention.scale,
      window: attention.window,
      output: linear(output),
      mlpNorm: norm(mlpNorm),
      inner: linear(inner),
      gated: inner.epilogue.kind === "gated",
      down: linear(down),
    });
  }
  return {
    tokens: table(embed.tokens),
    positions: embed.positions && table(embed.positions),
    layers,
    finalNorm: norm(next("norm", "final_norm")),
    head: linear(next("linear", "lm_head")),
  };
}

type OpOf<Kind extends FusedOp["kind"]> = Extract<FusedOp, { readonly kind: Kind }>;

function refusal(reason: string): SluiceError {
  return new SluiceError("usage", `Edges of this model cannot be attributed: ${reason}`, {
    hint: "Attribution knows the blocks of GPT-2 and Llama.",
  });
}
