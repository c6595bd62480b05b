/** Every plan, and every kernel that a plan, a fit or a measurement can ask for, as far as its text differs: what the lint looks at. */

import { readConfig } from "../../src/architectures/read-config.ts";
import type { Recorded } from "../../src/attribution/program.ts";
import { allDispatches, type Dispatch, kernelsIn } from "../../src/compile/plan.ts";
import { countEdges, listDestinations, visibleSources } from "../../src/interventions/edges.ts";
import { siteWidth } from "../../src/interventions/site-names.ts";
import { type Composition, type MaskedEdge, neuronSites, noStages, type Stage } from "../../src/interventions/stage.ts";
import { backwardActivation } from "../../src/kernels/backward/activation.ts";
import { backwardAttention, backwardRope } from "../../src/kernels/backward/attention.ts";
import { crossEntropyGradient } from "../../src/kernels/backward/cross-entropy.ts";
import { maskMix, maskProductSum, maskProducts, rowSums } from "../../src/kernels/backward/edge-mask.ts";
import { backwardLinear } from "../../src/kernels/backward/linear.ts";
import { variantNorm } from "../../src/kernels/backward/norm.ts";
import { poolKernel } from "../../src/kernels/fit/pool.ts";
import { inOrder, type Kernel } from "../../src/kernels/kernel.ts";
import { editedNormKernel, MOST_RANKS } from "../../src/kernels/norm/edited.ts";
import { operationKey } from "../../src/kernels/variants.ts";
import type { ModelConfig } from "../../src/model-config.ts";
import { microkernels } from "../../src/profile/microkernels.ts";
import { gpt2Small, imaginedPlan } from "../../test/support/imagined-plan.ts";
import { attributionDispatches } from "./attribution.ts";
import { variantKernels } from "./variants.ts";

/** A Llama with shared heads, the vocabulary of Llama 3, and a width beyond 1024. */
const llama: ModelConfig = readConfig(
  {
    model_type: "llama",
    hidden_size: 2048,
    intermediate_size: 8192,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    num_hidden_layers: 2,
    vocab_size: 128256,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
    rope_theta: 500000,
    hidden_act: "silu",
  },
  "config.json",
);

/** Heads of a width that neither vec4s nor tiles divide. */
const odd: ModelConfig = {
  ...gpt2Small,
  hidden_size: 90,
  num_attention_heads: 6,
  num_key_value_heads: 6,
  head_dim: 15,
};

/** Whose edges can be attributed. */
const attributedModels: readonly ModelConfig[] = [{ ...gpt2Small, num_hidden_layers: 2 }, llama, odd];

/** Those, and one for each operation that they do not have. */
const lintedModels: readonly ModelConfig[] = [...attributedModels];

/**
 * The dispatches of plans of all kinds, as far as their kernels or the names of what they are given differ: plain, edited, with
 * captures, pooled, for all families and ways to store weights.
 */
export function dispatchesToLint(): readonly Dispatch[] {
  planned ??= planAll();
  return planned;
}

let planned: readonly Dispatch[] | undefined;

function planAll(): readonly Dispatch[] {
  const dispatches: Dispatch[] = [];
  const plan = (config: ModelConfig, composition: Composition, options: Parameters<typeof imaginedPlan>[2]): void => {
    dispatches.push(...allDispatches(imaginedPlan(config, composition, options)));
  };
  for (const config of lintedModels) {
    for (const family of ["register", "tiled"] as const) {
      // Weights differ in how they are read, whatever follows the sums.
      for (const kind of storage) plan(config, noStages, { family, subgroups: true, ...kind });
      const captures = ["attn_pattern.0", "resid_post.0", "mlp_out.1", "attn_z.1"];
      plan(config, noStages, { family, captures });
      for (const pooling of ["max", "sum"] as const) {
        plan(config, noStages, { family, captures: captures.slice(1), pooling, sequences: 4 });
      }
      const all = everything(config);
      const isMask = ({ kind }: Stage) => kind === "edge_mask";
      for (const captured of [[], captures]) {
        for (const subgroups of [true, false]) plan(config, all, { family, subgroups, captures: captured });
        if (captured.length === 0) plan(config, all, { family, programs: { stages: 4, ranks: 4 } });
        // Without an edge mask, and with nothing else.
        plan(config, { ...all, stages: all.stages.filter((stage) => !isMask(stage)) }, { family, captures: captured });
        plan(config, { ...all, stages: all.stages.filter(isMask) }, { family, captures: captured });
      }
    }
  }
  return distinct(dispatches, ({ candidates, operation, args, bind }) => [
    candidates.map(({ kernel }) => kernel.name),
    operation && operationKey(operation),
    Object.keys(args),
    Object.keys(bind),
  ]);
}

/** The dispatches of attributions of the same models, as far as they differ. */
export function recordedToLint(): readonly Recorded[] {
  const recorded = attributedModels.flatMap((config) =>
    (["register", "tiled"] as const).flatMap((family) => attributionDispatches(config, family)),
  );
  return distinct(recorded, ({ kernel, args = {}, bind }) => [kernel.name, Object.keys(args), Object.keys(bind)]);
}

/** Every kernel that some plan of {@link dispatchesToLint} or an instrument has. */
export function plannedKernels(): readonly Kernel[] {
  const kernels: Kernel[] = dispatchesToLint().flatMap((dispatch) => [
    ...kernelsIn(dispatch),
    ...kernelsIn({ candidates: dispatch.operation?.variants() ?? [] }),
  ]);
  // Coordinates of affine stages take workgroup memory: as many as quads can keep, and as many as there may be.
  for (const ranks of [0, 1, MOST_RANKS / 2, MOST_RANKS]) {
    for (const family of ["register", "tiled"] as const) {
      const edits = { deltas: true, sourced: true, tracked: true, scales: ranks > 1, ranks };
      kernels.push(
        editedNormKernel({ kind: "rms", width: 2048, maxRows: 256, ...edits }, 2, { family, subgroups: true }),
      );
    }
  }
  kernels.push(...(["max", "sum"] as const).map((reduction) => poolKernel({ width: 3072, sequences: 64, reduction })));
  kernels.push(...backward(gpt2Small), ...backward(llama), ...microkernels(1e7).map(({ kernel }) => kernel));
  return distinct(kernels, ({ shader }) => shader);
}

export function kernelsToLint(): readonly Kernel[] {
  const recorded = recordedToLint().flatMap(({ kernel }) => inOrder(kernel));
  return distinct([...plannedKernels(), ...recorded, ...variantKernels()], ({ shader }) => shader);
}

/** One of those whose keys are the same as JSON. */
function distinct<T>(list: readonly T[], keyOf: (each: T) => unknown): readonly T[] {
  return [...new Map(list.map((each) => [JSON.stringify(keyOf(each)), each])).values()];
}

const storage = [
  { dtype: "F32" },
  { dtype: "F16" },
  { dtype: "BF16" },
  { dtype: "F32", quantize: "q8" },
  { dtype: "F32", quantize: "q4" },
] as const;

/** A stage of every kind, at every site that has its own kernel. */
function everything(config: ModelConfig): Composition {
  const vector = new Float32Array(config.hidden_size).fill(1);
  const neurons = neuronSites.flatMap((site): Stage[] => {
    const width = siteWidth(config, site);
    if (width === null) return [];
    const values = new Map([[1, { scale: new Float32Array(width) }]]);
    return [{ id: site, kind: "neuron_scale", site, layers: [1], positions: "all", strength: 1, values }];
  });
  const affine = (["resid_post", "attn_out", "mlp_out"] as const).map((site): Stage => {
    const values = new Map([[0, { direction: vector, reference: vector }]]);
    const common = {
      kind: "affine",
      method: "ace",
      gate: "identity",
      alpha: 1,
      positions: "all",
      strength: 1,
    } as const;
    return { id: `ace_${site}`, ...common, site, layers: [0], values };
  });
  const destinations = config.num_attention_heads === config.num_key_value_heads ? "heads" : "qkv_groups";
  const edges = listDestinations(config, destinations).flatMap((destination, index): MaskedEdge[] =>
    Array.from({ length: visibleSources(config, destination) }, (_, source) => ({
      destination: index,
      source,
      value: 0,
    })),
  );
  const replace = { attn: "zero", mlp: "zero", logits: "zero" } as const;
  const mask: Stage = {
    id: "edges",
    kind: "edge_mask",
    destinations,
    attn_bias: "per_head",
    replace,
    edges: edges.slice(0, countEdges(config, destinations)),
    strength: 1,
  };
  return { stages: [mask, ...neurons, ...affine], warnings: [] };
}

function backward(config: ModelConfig): readonly Kernel[] {
  const {
    hidden_size: width,
    intermediate_size,
    num_attention_heads: heads,
    num_key_value_heads: kv_heads,
    head_dim,
  } = config;
  const maxRows = 256;
  const gated = config.mlp === "gated";
  const activation = gated ? "silu" : "gelu_new";
  const shape = { K: width, N: intermediate_size, strips: intermediate_size / 4, maxRows };
  const attention = backwardAttention({ heads, kv_heads, head_dim, tile: 256, maxRows });
  return [
    backwardActivation({ activation, gated, width: intermediate_size, maxRows }),
    attention.stats,
    attention.weights,
    attention.query,
    attention.keyValue,
    backwardRope({ heads, kv_heads, head_dim, maxRows }),
    crossEntropyGradient({ vocab: config.vocab_size, maxRows }),
    maskMix({ width, maxRows, sources: 40 }, 12, 40),
    maskProducts({ width, maxRows, sources: 40 }, 12, 40),
    maskProductSum({ width, maxRows, sources: 40 }, 12, 40),
    rowSums({ width, maxRows, sources: 40 }, 12),
    ...(["f32", "f16", "bf16", "q8", "q4"] as const).flatMap((dtype) =>
      [false, true].flatMap((anyShape) =>
        [1, 64].flatMap((rows) => {
          const matrix = { ...shape, dtype, anyShape };
          return [
            backwardLinear({ ...matrix, reads: { kind: "spans", variants: [[[0, shape.N]]] } }, rows),
            backwardLinear({ ...matrix, reads: { kind: "heads", heads, head_dim } }, rows),
          ];
        }),
      ),
    ),
    ...(["forward", "gradient"] as const).map((direction) =>
      variantNorm({ kind: gated ? "rms" : "layer", width, maxRows }, direction, 3),
    ),
  ];
}
