/** Everything that reads files of others. */
import type { Target } from "./target.ts";
import { bundle, controlVector, edgeFiles, numpyFiles, torchFiles } from "./targets/bundles.ts";
import { gguf, lora, mlx, modelFolder, weightIndex, weights } from "./targets/model-files.ts";
import { hub, web } from "./targets/server-answers.ts";
import { csv, jsonLines, partial, probe } from "./targets/tables.ts";
import { chatTemplate, sentencePiece, tokenizer, tokenizerConfig, vocabMerges } from "./targets/text-files.ts";

export const targets: readonly Target[] = [
  modelFolder,
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
];
