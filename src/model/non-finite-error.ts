/** What a finite check found, as an error. */
import { SluiceError } from "../errors.ts";
import type { FiniteCheck, NonFinite } from "./check-finite.ts";

/** The error that a command ends with; undefined if everything is finite. */
export function nonFiniteError({ first }: FiniteCheck): SluiceError | undefined {
  if (!first) return undefined;
  const { site, operation, position, token, value, index, count, width, inputs, stage } = first;
  const read = inputs.map(({ site: from, finite, largest }) => {
    return `${from} ${finite ? "is finite" : "is not finite"} there, at most ${largest.toPrecision(4)} in magnitude`;
  });
  const by = stage === null ? `the output of the ${operation} operation` : `what stage ${stage} leaves`;
  const more = count > 1 ? ` (${count} of ${width} numbers there are not finite)` : "";
  return new SluiceError(
    "non_finite",
    `The first values that are not finite are at ${site}, position ${position} (token ${token}): ${by} is ${value} at index ${index}${more}${read.length > 0 ? `; ${read.join(", ")}` : ""}`,
    { hint: hintFor(first) },
  );
}

function hintFor({ stage, finite_without_stages: withoutStages }: NonFinite): string {
  if (stage !== null || withoutStages === true) {
    return "Without the interventions every value is finite: lower their strengths and alphas.";
  }
  return "The weights are too large for float32, or are not what config.json says.";
}
