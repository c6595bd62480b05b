/** Gives bundles their self-test: the highest logits after three prompts, as this device computes them. */
import { entry, options as optionsOf } from "../arguments/entry.ts";
import { fields } from "../arguments/fields.ts";
import { signal as abortSignal } from "../arguments/rules.ts";
import { SluiceError } from "../errors.ts";
import { bundle as anyBundle, type BundleInput } from "../interventions/arguments.ts";
import type { Bundle } from "../interventions/bundle-types.ts";
import { compose } from "../interventions/compose.ts";
import type { Check } from "../interventions/manifest.ts";
import { checkPrompts } from "./check-prompts.ts";
import { computeLogits } from "./inspect.ts";
import type { Model } from "./model.ts";
import { model as anyModel } from "./model-argument.ts";

/** Options of {@link sealBundle}. */
export interface SealOptions {
  /** Aborts the call, which then fails with `aborted`. */
  readonly signal?: AbortSignal;
}

export const sealBundleDoor = entry(
  "sealBundle",
  ["model", anyModel],
  ["bundle", anyBundle],
  optionsOf(fields<SealOptions>()({ signal: abortSignal })),
);

/** Number of logits that a check names. */
const NAMED = 5;

/** What devices and orders of summation may differ by: relative to the highest logit, and at least. */
const RELATIVE = 5e-4;
const LEAST = 2e-3;

/** Decimal places of logits, well below what is allowed. */
const DECIMALS = 5;

/**
 * A bundle with `checks`, in place of those that it has: the five highest logits after each of three short prompts, with the
 * bundle at its own strengths. They are measured with the bundle alone, on the model's own weights. On one device the result
 * is always the same.
 * @throws SluiceError `bad_bundle` if it does not fit the model; `non_finite` if the model's values leave float32 under it;
 *   `device_limit`, `aborted`
 */
export async function sealBundle(model: Model, bundle: BundleInput, options: SealOptions = {}): Promise<Bundle> {
  const [whole, given, { signal }] = sealBundleDoor.read(model, bundle, options);
  const prompts = checkPrompts(whole.config, whole.tokenizer, given.manifest);
  const edited = whole.withStages(compose(whole.config, [{ bundle: given }]));
  const context = Math.max(...prompts.map(({ tokens }) => tokens.length));
  const checks: Check[] = [];
  for (const { tokens, promptLength } of prompts) {
    const sequences = await edited.openSequences({ context, signal });
    try {
      const { data } = await computeLogits(sequences, tokens, { last: true, promptLength, signal });
      checks.push(checkOf(tokens, promptLength, data));
    } finally {
      sequences.dispose();
    }
  }
  return { ...given, manifest: { ...given.manifest, checks } };
}

function checkOf(tokens: readonly number[], promptLength: number, logits: Float32Array): Check {
  const ranked = Array.from(logits, (logit, token) => [token, logit] as const);
  const top = ranked.sort(([a, x], [b, y]) => y - x || a - b).slice(0, NAMED);
  const highest = Math.max(...top.map(([, logit]) => Math.abs(logit)));
  if (!logits.every(Number.isFinite)) {
    throw new SluiceError("non_finite", "The logits under the bundle are not finite", {
      hint: "The interventions may be too strong: lower their strengths and alphas.",
    });
  }
  return {
    tokens,
    prompt_length: promptLength,
    top: top.map(([token, logit]) => [token, Number(logit.toFixed(DECIMALS))] as const),
    atol: Number(Math.max(LEAST, RELATIVE * highest).toPrecision(2)),
  };
}
