/**
 * EasySteer's field `steer_vector_request`, where it says exactly what `interventions` can: a registered bundle by its name,
 * or by the stem of a path, of which nothing is read, and a scale for all of its stages. Whatever would act otherwise is
 * refused.
 */

import { isOptions } from "../arguments/lists.ts";
import { Place } from "../arguments/place.ts";
import { type Bundles, type Intervention, interventionsRule } from "./interventions.ts";
import { Problem } from "./problem.ts";

/** Fields that say how a vector acts, and the values that a bundle's own stages stand for. */
const NEUTRAL: Readonly<Record<string, (value: unknown) => boolean>> = {
  steer_vector_int_id: () => true,
  steer_vector_id: () => true,
  debug: () => true,
  algorithm: (value) => value === "direct",
  normalize: (value) => value === false,
};

/** Takes the interventions out of a body. @throws Problem 400 */
export function readInterventions(
  given: unknown,
  bundles: Bundles,
): { readonly body: unknown; readonly interventions: readonly Intervention[] } {
  if (!isOptions(given)) return { body: given, interventions: [] };
  const { interventions, steer_vector_request: steering, ...body } = given;
  const own =
    interventions === undefined || interventions === null
      ? []
      : interventionsRule.read(interventions, new Place("interventions", "interventions"));
  const all: readonly Intervention[] =
    steering === undefined || steering === null ? own : [...own, fromEasySteer(steering, bundles)];
  // What is unknown is refused before anything else is looked at.
  for (const [i, each] of all.entries()) bundles.get(each, i);
  return { body, interventions: all };
}

function fromEasySteer(given: unknown, bundles: Bundles): Intervention {
  const param = "steer_vector_request";
  if (!isOptions(given)) throw new Problem(400, `${param} must be an object`, { param });
  const { steer_vector_name: name, steer_vector_local_path: path, scale = 1, ...rest } = given;
  const stem = typeof path === "string" ? path.replace(/^.*[/\\]/, "").replace(/\.[^.]*$/, "") : undefined;
  const bundle = [name, stem].find((each) => typeof each === "string" && bundles.names.includes(each)) ?? name ?? stem;
  if (typeof bundle !== "string") throw new Problem(400, `${param} names no vector`, { param });
  if (typeof scale !== "number" || !Number.isFinite(scale))
    throw new Problem(400, `${param}.scale must be a number`, { param });
  for (const [field, value] of Object.entries(rest)) {
    if (value === null || (Object.hasOwn(NEUTRAL, field) && NEUTRAL[field]?.(value))) continue;
    throw new Problem(
      400,
      `${param}.${field} has no exact counterpart: say it by interventions: [{ bundle, stages }]`,
      { param },
    );
  }
  const stages = new Map(
    bundles.get({ bundle }, 0).manifest.stages.map(({ id, strength = 1 }) => [id, { strength: strength * scale }]),
  );
  return { bundle, stages };
}
