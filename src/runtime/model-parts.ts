/** What a model is made of. */
import type { FusedOp } from "../compile/fused.ts";
import type { WeightLayout } from "../compile/weight-layout.ts";
import type { SluiceError } from "../errors.ts";
import type { Gpu } from "../gpu/open.ts";
import type { Graph } from "../graph/graph.ts";
import type { KernelFamily } from "../kernels/kernel.ts";
import type { ModelConfig } from "../models/config.ts";
import type { GenerationConfig } from "../models/generation-config.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { ProgressListener } from "./progress.ts";
import type { Tuning } from "./tuning.ts";
import type { GpuWeights } from "./weights.ts";

/** What loading hands to a model. */
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
  readonly tuning: Tuning;
  readonly weights: GpuWeights;
  readonly tokenizer: Tokenizer | null;
  /** Why the folder's tokenizer could not be read. */
  readonly tokenizerError: SluiceError | null;
  readonly onProgress: ProgressListener;
  /** Called with a line worth telling a person. */
  readonly onNotice: (message: string) => void;
}
