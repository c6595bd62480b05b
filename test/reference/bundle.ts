/**
 * Reads a bundle that is known to be valid into stages: nothing is checked here, so that the oracle does not share the
 * engine's reader.
 */
import { parseSafetensors, toFloat32 } from "../../src/formats/safetensors.ts";
import {
  destinationName,
  listDestinations,
  listSources,
  sourceName,
  visibleSources,
} from "../../src/interventions/edges.ts";
import type { Positions } from "../../src/interventions/positions.ts";
import type {
  AffineStage,
  Composition,
  EdgeMaskStage,
  Gate,
  MaskedEdge,
  NeuronScaleStage,
  Stage,
} from "../../src/interventions/stage.ts";
import type { ModelConfig } from "../../src/model-config.ts";

/** Values to set by stage id. */
export interface Settings {
  readonly strengths?: Readonly<Record<string, number>>;
  readonly params?: Readonly<Record<string, { readonly alpha?: number }>>;
}

/** A stage as the manifest writes it, with all that any kind may have. */
interface WrittenStage {
  readonly id: string;
  readonly kind: Stage["kind"];
  readonly site: NeuronScaleStage["site"] & AffineStage["site"];
  readonly method: AffineStage["method"];
  readonly layers?: "all" | readonly number[];
  readonly positions?: Positions;
  readonly gate?: Gate;
  readonly alpha?: number;
  readonly strength?: number;
  readonly destinations: EdgeMaskStage["destinations"];
  readonly attn_bias?: EdgeMaskStage["attn_bias"];
  readonly replace?: Partial<EdgeMaskStage["replace"]>;
  readonly edges?: readonly (readonly [source: string, destination: string, value: number])[];
}

export function readReferenceBundle(file: Uint8Array, config: ModelConfig, settings: Settings = {}): Composition {
  const { tensors, metadata } = parseSafetensors(file);
  const manifest = JSON.parse(metadata.get("manifest") ?? "") as { readonly stages: readonly WrittenStage[] };
  const tensor = (name: string): Float32Array | undefined => {
    const stored = tensors.get(name);
    return stored && toFloat32(stored);
  };
  return { stages: manifest.stages.map((written) => readStage(written, tensor, config, settings)), warnings: [] };
}

function readStage(
  written: WrittenStage,
  tensor: (name: string) => Float32Array | undefined,
  config: ModelConfig,
  settings: Settings,
): Stage {
  const { id, kind, site, positions = "all" } = written;
  const strength = settings.strengths?.[id] ?? written.strength ?? 1;
  if (kind === "edge_mask") {
    const { destinations, attn_bias = "per_head" } = written;
    const replace = { attn: "constants", mlp: "constants", logits: "constants", ...written.replace } as const;
    const edges = readEdges(written, tensor(`${id}.mask`), config);
    return {
      id,
      kind,
      strength,
      destinations,
      attn_bias,
      replace,
      edges,
      ...present({ constants: tensor(`${id}.constants`) }),
    };
  }
  const everyLayer = Array.from({ length: config.num_hidden_layers }, (_, layer) => layer);
  const layers = written.layers === undefined || written.layers === "all" ? everyLayer : written.layers;
  const values = <Name extends string>(...names: Name[]) =>
    new Map(
      layers.map((layer) => [
        layer,
        present(Object.fromEntries(names.map((name) => [name, tensor(`${id}.${layer}.${name}`)]))),
      ]),
    );
  if (kind === "neuron_scale") {
    return { id, kind, strength, site, layers, positions, values: values("scale", "shift") };
  }
  const { method, gate = "identity" } = written;
  const alpha = settings.params?.[id]?.alpha ?? written.alpha ?? 1;
  const tables = values("direction", "reference", "v", "u", "c", "bias");
  return { id, kind, strength, method, site, layers, positions, gate, alpha, values: tables };
}

/** The dense mask's entries below 1, overridden by the list. */
function readEdges(written: WrittenStage, mask: Float32Array | undefined, config: ModelConfig): readonly MaskedEdge[] {
  const sources = listSources(config).map(sourceName);
  const destinations = listDestinations(config, written.destinations);
  const listed = new Map((written.edges ?? []).map(([from, to, value]) => [`${from} ${to}`, value]));
  const edges: MaskedEdge[] = [];
  for (const [destination, place] of destinations.entries()) {
    for (let source = 0; source < visibleSources(config, place); source++) {
      const override = listed.get(`${sources[source]} ${destinationName(place)}`);
      const dense = mask?.[destination * sources.length + source] ?? 1;
      if (override !== undefined) edges.push({ destination, source, value: override });
      else if (dense < 1) edges.push({ destination, source, value: dense });
    }
  }
  return edges;
}

/** Only the tensors that are there. */
function present(tensors: Readonly<Record<string, Float32Array | undefined>>): Record<string, Float32Array> {
  return Object.fromEntries(
    Object.entries(tensors).filter((entry): entry is [string, Float32Array] => entry[1] !== undefined),
  );
}
