/** The parts of a model. */

import type { GenerationConfig } from "../architectures/generation-config.ts";
import type { FusedOp } from "../compile/fused.ts";
import type { WeightLayout } from "../compile/weight-layout.ts";
import type { SluiceError } from "../errors.ts";
import type { Gpu } from "../gpu/open.ts";
import type { Graph } from "../graph/graph.ts";
import type { KernelFamily } from "../kernels/kernel.ts";
import type { CacheDtype } from "../kernels/linear/epilogue.ts";
import type { KernelChoices } from "../kernels/variants.ts";
import type { ModelConfig } from "../model-config.ts";
import type { ProgressListener } from "../runtime/progress.ts";
import type { GpuWeights } from "../runtime/weights.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/** The kernels chosen by tuning, for a model and all that share its weights; later plans use them. */
export class Tuning {
  choices: KernelChoices = {};
}

/** What a model gets from loading. */
export interface ModelParts {
  readonly config: ModelConfig;
  readonly generationConfig: GenerationConfig;
  /** The model without interventions. */
  readonly graph: Graph;
  readonly ops: readonly FusedOp[];
  readonly layout: WeightLayout;
  readonly gpu: Gpu;
  readonly family: KernelFamily;
  readonly reference: boolean;
  /** How keys and values are cached. */
  readonly cache: CacheDtype;
  readonly tuning: Tuning;
  readonly weights: GpuWeights;
  readonly tokenizer: Tokenizer | null;
  /** The reason why the folder's tokenizer could not be read. */
  readonly tokenizerError: SluiceError | null;
  readonly onProgress: ProgressListener;
  /** Called with notices for the user. */
  readonly onNotice: (message: string) => void;
}
