/**
 * EasySteer's requests, where they say exactly what `interventions` can: registered bundles by their names, or by the stems
 * of paths, of which nothing is read, with a scale for all of a bundle's stages. Whatever would act otherwise is refused.
 *
 * There are two forms: `steer_vector_request` (https://github.com/ZJU-REAL/EasySteer, vllm-steer's SteerVectorRequest), of
 * one vector or of several in `vector_configs`, and the later `steering` ({ vectors, conflict }).
 */

import { isOptions } from "../arguments/lists.ts";
import type { Positions } from "../index.ts";
import { show, showText } from "../show.ts";
import type { Bundles, Intervention } from "./interventions.ts";
import { Problem } from "./problem.ts";

type Fields = Readonly<Record<string, unknown>>;

/** A vector as both forms describe it. */
interface Described {
  /** The field that it stands in. */
  readonly param: string;
  readonly name: unknown;
  readonly path: unknown;
  readonly scale: unknown;
  /** By the name that it has in this form. */
  readonly layers: { readonly field: string; readonly given: unknown };
  readonly positions: Positions | undefined;
  /** Fields of which only some values have a counterpart. */
  readonly rest: Fields;
}

/** Fields that say how a vector acts, and the values that a bundle's own stages stand for. */
const NEUTRAL: Readonly<Record<string, (value: unknown) => boolean>> = {
  steer_vector_int_id: () => true,
  steer_vector_id: () => true,
  debug: () => true,
  algorithm: (value) => value === "direct",
  normalize: (value) => value === false,
};

export function fromSteerVectorRequest(given: unknown, bundles: Bundles): readonly Intervention[] {
  const param = "steer_vector_request";
  const { vector_configs: configs, conflict_resolution: conflict, ...single } = fieldsOf(given, param);
  if (configs === undefined || configs === null) return [interventionOf(firstForm(single, param), bundles)];
  const { steer_vector_name: _, ...rest } = single;
  refuseRest(rest, param);
  return several(configs, `${param}.vector_configs`, conflict).map(([fields, place]) =>
    interventionOf(firstForm(fields, place), bundles),
  );
}

export function fromSteering(given: unknown, bundles: Bundles): readonly Intervention[] {
  const param = "steering";
  const { vectors, conflict, ...rest } = fieldsOf(given, param);
  refuseRest(rest, param);
  return several(vectors, `${param}.vectors`, conflict).map(([fields, place]) => {
    const { name, source: path, scale, layers, apply, ...others } = fields;
    return interventionOf(
      {
        param: place,
        name,
        path,
        scale,
        layers: { field: "layers", given: layers },
        positions: appliedAt(apply, place),
        rest: others,
      },
      bundles,
    );
  });
}

function firstForm(fields: Fields, param: string): Described {
  const {
    steer_vector_name: name,
    steer_vector_local_path: local,
    path = local,
    scale,
    target_layers,
    ...others
  } = fields;
  const { prefill_trigger_tokens: prefill, generate_trigger_tokens: generate, ...rest } = others;
  const positions = phases(
    isAll(prefill, param, "prefill_trigger_tokens"),
    isAll(generate, param, "generate_trigger_tokens"),
  );
  return { param, name, path, scale, layers: { field: "target_layers", given: target_layers }, positions, rest };
}

/** A trigger of -1 is every token of its phase. */
function isAll(given: unknown, param: string, field: string): boolean {
  if (given === undefined || given === null) return false;
  if (Array.isArray(given) && given.length === 1 && given[0] === -1) return true;
  throw noCounterpart(`${param}.${field}`, given);
}

/** Where both phases act, or one; a request that names none leaves it to the bundle. */
function phases(prompt: boolean, generated: boolean): Positions | undefined {
  if (prompt && generated) return "all";
  if (prompt) return "prompt";
  return generated ? "generated" : undefined;
}

function appliedAt(given: unknown, param: string): Positions | undefined {
  if (given === undefined || given === null) return undefined;
  const { prompt, generation, ...rest } = fieldsOf(given, `${param}.apply`);
  refuseRest(rest, `${param}.apply`);
  for (const value of [prompt, generation]) {
    if (value !== undefined && value !== null && value !== "all") throw noCounterpart(`${param}.apply`, given);
  }
  return phases(prompt === "all", generation === "all");
}

/** Several vectors act one after another, which is what bundles do; other ways to settle conflicts have no counterpart. */
function several(given: unknown, param: string, conflict: unknown): readonly (readonly [Fields, string])[] {
  if (!Array.isArray(given) || given.length === 0)
    throw new Problem(400, `${param} must be a list of vectors`, { param });
  if (given.length > 1 && conflict !== "sequential") {
    throw new Problem(
      400,
      `${param}: several vectors act one after another here, so their conflicts must be "sequential"`,
      {
        param,
      },
    );
  }
  return given.map((each: unknown, i) => [fieldsOf(each, `${param}[${i}]`), `${param}[${i}]`] as const);
}

function interventionOf(
  { param, name, path, scale, layers, positions, rest }: Described,
  bundles: Bundles,
): Intervention {
  refuseRest(rest, param);
  const stem = typeof path === "string" ? path.replace(/^.*[/\\]/, "").replace(/\.[^.]*$/, "") : undefined;
  const bundle = [name, stem].find((each) => typeof each === "string" && bundles.names.includes(each)) ?? name ?? stem;
  if (typeof bundle !== "string") throw new Problem(400, `${param} names no vector`, { param });
  const factor = scale ?? 1;
  if (typeof factor !== "number" || !Number.isFinite(factor)) {
    throw new Problem(400, `${param}: the scale must be a number`, { param });
  }
  const { stages } = bundles.get({ bundle }, 0).manifest;
  if (layers.given !== undefined && layers.given !== null) {
    for (const stage of stages)
      if (!isSameLayers("layers" in stage ? stage.layers : undefined, layers.given))
        throw otherLayers(param, layers, bundle);
  }
  return {
    bundle,
    stages: new Map(
      stages.map(({ id, strength = 1 }) => [id, { strength: strength * factor, ...(positions && { positions }) }]),
    ),
  };
}

function isSameLayers(own: unknown, wanted: unknown): boolean {
  const isLayers = (layers: unknown): layers is readonly number[] =>
    Array.isArray(layers) && layers.every((layer) => Number.isSafeInteger(layer));
  const sorted = (layers: readonly number[]): string => [...layers].sort((a, b) => a - b).join();
  return isLayers(own) && isLayers(wanted) && sorted(own) === sorted(wanted);
}

function otherLayers(param: string, { field }: Described["layers"], bundle: string): Problem {
  return new Problem(400, `${param}.${field}: these are not the layers of the bundle "${bundle}", which are fixed`, {
    param,
  });
}

function fieldsOf(given: unknown, param: string): Fields {
  if (isOptions(given)) return given;
  throw new Problem(400, `${param} must be an object`, { param });
}

function refuseRest(rest: Fields, param: string): void {
  for (const [field, value] of Object.entries(rest)) {
    if (value === null || (Object.hasOwn(NEUTRAL, field) && NEUTRAL[field]?.(value))) continue;
    throw noCounterpart(`${param}.${showText(field)}`, value);
  }
}

function noCounterpart(param: string, value: unknown): Problem {
  return new Problem(
    400,
    `${param}: ${show(value)} has no exact counterpart: say it by interventions: [{ bundle, stages }]`,
    { param },
  );
}
