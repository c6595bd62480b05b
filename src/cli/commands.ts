/** Every command, in the order in which help lists them. */
import type { Command } from "./command.ts";
import { attribute } from "./commands/attribute.ts";
import { bake } from "./commands/bake.ts";
import { bench } from "./commands/bench.ts";
import { bundleCheck } from "./commands/bundle-check.ts";
import { bundleCompose } from "./commands/bundle-compose.ts";
import { bundleExport } from "./commands/bundle-export.ts";
import { bundleImport } from "./commands/bundle-import.ts";
import { bundleInspect } from "./commands/bundle-inspect.ts";
import { bundleSeal } from "./commands/bundle-seal.ts";
import { capture } from "./commands/capture.ts";
import { chat } from "./commands/chat.ts";
import { compare } from "./commands/compare.ts";
import { evaluate } from "./commands/evaluate.ts";
import { explain } from "./commands/explain.ts";
import { fitAura } from "./commands/fit-aura.ts";
import { fitAblation, fitAce, fitAddition, fitLeace } from "./commands/fit-directions.ts";
import { fitEdges } from "./commands/fit-edges.ts";
import { fitNeurons } from "./commands/fit-neurons.ts";
import { fitProbe } from "./commands/fit-probe.ts";
import { generate } from "./commands/generate.ts";
import { info } from "./commands/info.ts";
import { lens } from "./commands/lens.ts";
import { logits } from "./commands/logits.ts";
import { modelsList, modelsRemove, modelsVerify } from "./commands/models.ts";
import { perplexity } from "./commands/perplexity.ts";
import { profile } from "./commands/profile.ts";
import { pull } from "./commands/pull.ts";
import { quantize } from "./commands/quantize.ts";
import { serve } from "./commands/serve.ts";
import { sites } from "./commands/sites.ts";
import { sweep } from "./commands/sweep.ts";
import { tune } from "./commands/tune.ts";
import { worker } from "./commands/worker.ts";

export const COMMANDS: readonly Command[] = [
  generate,
  chat,
  serve,
  worker,
  logits,
  capture,
  lens,
  sites,
  attribute,
  compare,
  perplexity,
  evaluate,
  sweep,
  bench,
  profile,
  tune,
  quantize,
  explain,
  fitAura,
  fitAce,
  fitAblation,
  fitAddition,
  fitLeace,
  fitProbe,
  fitNeurons,
  fitEdges,
  bake,
  bundleInspect,
  bundleCheck,
  bundleSeal,
  bundleCompose,
  bundleImport,
  bundleExport,
  pull,
  modelsList,
  modelsRemove,
  modelsVerify,
  info,
];
