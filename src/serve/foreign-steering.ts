/** Takes the interventions out of a request: its own field, and EasySteer's two. */

import { isOptions } from "../arguments/lists.ts";
import { Place } from "../arguments/place.ts";
import { fromSteering, fromSteerVectorRequest } from "./easy-steer.ts";
import { type Bundles, type Intervention, interventionsRule } from "./interventions.ts";

/** @throws Problem 400 for what is unknown, or has no exact counterpart */
export function readInterventions(
  given: unknown,
  bundles: Bundles,
): { readonly body: unknown; readonly interventions: readonly Intervention[] } {
  if (!isOptions(given)) return { body: given, interventions: [] };
  const { interventions, steer_vector_request: request, steering, ...body } = given;
  const isGiven = (value: unknown): boolean => value !== undefined && value !== null && value !== false;
  const all: readonly Intervention[] = [
    ...(isGiven(interventions)
      ? interventionsRule.read(interventions as never, new Place("interventions", "interventions"))
      : []),
    ...(isGiven(request) ? fromSteerVectorRequest(request, bundles) : []),
    ...(isGiven(steering) ? fromSteering(steering, bundles) : []),
  ];
  // What is unknown is refused before anything else is looked at.
  for (const [i, each] of all.entries()) bundles.get(each, i);
  return { body, interventions: all };
}
