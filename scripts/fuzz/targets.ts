/** Everything that reads files of others. */
import type { Target } from "./target.ts";
import { bundle, controlVector, edgeFiles, numpyFiles, torchFiles } from "./targets/bundles.ts";
import { generationConfig, gguf, lora, mlx, modelFolder, weightIndex, weights } from "./targets/model-files.ts";
import { hub, web } from "./targets/server-answers.ts";
import { serverRequests } from "./targets/server-requests.ts";
import { csv, jsonLines, partial, probe } from "./targets/tables.ts";
import { chatTemplate, sentencePiece, tokenizer, tokenizerConfig, vocabMerges } from "./targets/text-files.ts";
import { tuning } from "./targets/tuning-files.ts";

export const targets: readonly Target[] = [
  modelFolder,
  generationConfig,
  weightIndex,
  weights,
  gguf,
  mlx,
  lora,
  tokenizer,
  vocabMerges,
  sentencePiece,
  tokenizerConfig,
  chatTemplate,
  bundle,
  torchFiles,
  numpyFiles,
  edgeFiles,
  controlVector,
  jsonLines,
  csv,
  partial,
  probe,
  hub,
  web,
  serverRequests,
  tuning,
];
