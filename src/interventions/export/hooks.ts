/** Stages as forward hooks: a Python file for transformers that needs torch and safetensors alone, and its tensors. */
import { type StoredTensor, storeFloat32, writeSafetensors } from "../../formats/safetensors.ts";
import { destinationName, listDestinations, listSources } from "../edges.ts";
import { kindOf } from "../kinds/kinds.ts";
import { siteWidth } from "../site-names.ts";
import type { ModelShape } from "../sites.ts";
import { type EdgeMaskStage, isAtSite, type SiteStage, type Stage } from "../stage.ts";
import { bytesOf, type ExportFormat } from "./export-format.ts";
import { HOOKS_RUNTIME } from "./hooks-runtime.ts";

/** Types of models whose modules the hooks know. */
const FAMILIES: readonly string[] = ["gpt2", "llama", "mistral", "qwen2"];

export const hooks: ExportFormat = {
  isLive: true,
  obstacle(_, { model_type }) {
    if (FAMILIES.includes(model_type)) return null;
    return `is for a model of the type ${model_type}, and the hooks know ${FAMILIES.join(", ")}`;
  },
  write({ stages, config, manifest, name }) {
    const tensors = new Map<string, StoredTensor>();
    const written = stages.map((stage) => {
      return isAtSite(stage) ? siteStage(config, stage, tensors) : maskStage(config, stage, tensors);
    });
    return new Map<string, Uint8Array>([
      [`${name}.py`, bytesOf(`${head(config, manifest.name, stages)}${data(config, written)}${HOOKS_RUNTIME}`)],
      // A bundle may lie beside it under the same name.
      [`${name}.hooks.safetensors`, writeSafetensors(tensors)],
    ]);
  },
};

function head({ model_type }: ModelShape, title: string, stages: readonly Stage[]): string {
  // What a bundle is called must not end the text in which it stands.
  const plain = title.replace(/["\\\n\r]/g, " ").slice(0, 200);
  const first = stages[0]?.id ?? "";
  return `"""${plain}: interventions on a transformers model (${model_type}), by forward hooks.

    model = AutoModelForCausalLM.from_pretrained("…")
    with apply(model, strengths={"${first}": 1.0}):
        model.generate(…)

Written by sluice bundle export. Needs torch, safetensors, and the file of tensors beside this one.
"""

import functools
import inspect
import json
from pathlib import Path

import torch
from safetensors.torch import load_file

`;
}

function data(config: ModelShape, stages: readonly object[]): string {
  const shape = {
    model_type: config.model_type,
    hidden_size: config.hidden_size,
    num_hidden_layers: config.num_hidden_layers,
    num_attention_heads: config.num_attention_heads,
    vocab_size: config.vocab_size,
  };
  // A text of JSON in a raw string of Python: JSON has no line breaks, and apostrophes are escaped.
  const json = (value: unknown): string => {
    const text = JSON.stringify(value).replaceAll("'", "\\u0027");
    return `json.loads(r'''${text}''')`;
  };
  return `MODEL_TYPE = "${config.model_type}"
NUM_HEADS, NUM_KV_HEADS, HEAD_DIM = ${config.num_attention_heads}, ${config.num_key_value_heads}, ${config.head_dim}
SHAPE = ${json(shape)}
STAGES = ${json(stages)}
`;
}

/** Tensors as the hooks use them: scale and shift, or V, U, c and b in float64. */
function siteStage(config: ModelShape, stage: SiteStage, tensors: Map<string, StoredTensor>): object {
  const { id, kind, site, layers, positions, strength } = stage;
  const record = kindOf(stage);
  const width = siteWidth(config, site) ?? 0;
  const { lowering } = record;
  for (const layer of layers) {
    const values = stage.values.get(layer) ?? {};
    const put = (name: string, tensor: StoredTensor): void => void tensors.set(`${id}.${layer}.${name}`, tensor);
    if (lowering.form === "elements") {
      for (const [name, vector] of Object.entries(lowering.lower(stage, values))) {
        put(name, storeFloat32(vector, [vector.length]));
      }
      continue;
    }
    const { v, u, c, b } = lowering.lower(stage, values, width);
    if (v.length > 0) {
      put("v", storeRows(v, width));
      put("u", storeRows(u, width));
      put("c", storeFloat64(c, [c.length]));
    }
    if (b) put("b", storeFloat64(b, [width]));
  }
  const gate = lowering.form === "row" ? { gate: lowering.gate(stage) } : {};
  const alpha = record.hasAlpha(stage) && "alpha" in stage ? { alpha: stage.alpha } : {};
  return { id, kind, site, layers, positions, strength, ...alpha, ...gate };
}

function maskStage(config: ModelShape, stage: EdgeMaskStage, tensors: Map<string, StoredTensor>): object {
  const { id, kind, strength, attn_bias, replace } = stage;
  const sources = listSources(config).length;
  const names = listDestinations(config, stage.destinations).map(destinationName);
  const masked = [...new Set(stage.edges.map(({ destination }) => destination))];
  const mask = new Float32Array(masked.length * sources).fill(1);
  for (const { destination, source, value } of stage.edges) {
    mask[masked.indexOf(destination) * sources + source] = value;
  }
  tensors.set(`${id}.mask`, storeFloat32(mask, [masked.length, sources]));
  if (stage.constants) tensors.set(`${id}.constants`, storeFloat32(stage.constants, [sources, config.hidden_size]));
  const inputs = stage.destinations === "heads" ? {} : { q: "q", k: "k", v: "v" };
  return { id, kind, strength, attn_bias, replace, inputs, destinations: masked.map((index) => names[index]) };
}

function storeRows(rows: readonly Float64Array[], width: number): StoredTensor {
  const all = new Float64Array(rows.length * width);
  rows.forEach((row, index) => all.set(row, index * width));
  return storeFloat64(all, [rows.length, width]);
}

function storeFloat64(values: Float64Array, shape: readonly number[]): StoredTensor {
  return { dtype: "F64", shape, bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength) };
}
