/** A bundle's self-test on the device at hand. */
import { entry } from "../arguments/entry.ts";
import { isList, listOf } from "../arguments/lists.ts";
import { callback } from "../arguments/rules.ts";
import { SluiceError } from "../errors.ts";
import { show } from "../show.ts";
import { check } from "./arguments.ts";
import type { Check } from "./manifest.ts";

/** One logit that a check names. */
export interface CheckedLogit {
  /** Id of the token that the logit is of. */
  readonly token: number;
  /** As the bundle's maker saw it. */
  readonly expected: number;
  /** As it is here. */
  readonly actual: number;
}

/** One of a bundle's checks, run here. */
export interface CheckResult {
  /** Place in the manifest's list. */
  readonly index: number;
  /** Ids that were run. */
  readonly tokens: readonly number[];
  /** How many of them count as the prompt. */
  readonly prompt_length: number;
  /** Whether every logit lies within `atol` of what is expected. */
  readonly passed: boolean;
  /** Largest difference that is allowed. */
  readonly atol: number;
  /** Largest difference; NaN if a logit was. */
  readonly worst: number;
  /** In the order of the manifest. */
  readonly logits: readonly CheckedLogit[];
}

export const checkDoor = entry(
  "checkBundle",
  ["checks", listOf(check)],
  ["logitsOf", callback<(tokens: readonly number[], promptLength: number) => Promise<Float32Array>>()],
);

/**
 * Compares the logits that checks name with those that the model gives.
 * @param logitsOf the logits at the last of these tokens, `[vocab_size]`, with the bundle applied at its own strengths
 */
export async function checkBundle(
  checks: readonly Check[],
  logitsOf: (tokens: readonly number[], promptLength: number) => Promise<Float32Array>,
): Promise<readonly CheckResult[]> {
  const [wanted, logitsAt] = checkDoor.read(checks, logitsOf);
  const results: CheckResult[] = [];
  for (const [index, { tokens, prompt_length = tokens.length, top, atol }] of wanted.entries()) {
    const row: unknown = await logitsAt(tokens, prompt_length);
    if (!isList(row))
      throw new SluiceError("usage", `checkBundle: logitsOf gave ${show(row)}; it gives a list of logits`);
    const logits = top.map(([token, expected]) => ({ token, expected, actual: Number(row[token] ?? Number.NaN) }));
    // Math.max is NaN if one of them is, and no comparison with NaN is true.
    const worst = Math.max(...logits.map(({ expected, actual }) => Math.abs(actual - expected)));
    results.push({ index, tokens, prompt_length: prompt_length, passed: worst <= atol, atol, worst, logits });
  }
  return results;
}
