/**
 * Classifies texts by token counts: logistic regression, or the log-odds of the classes' token frequencies, in
 * float64. The regression is a convex problem solved by Newton's method, without random numbers: equal texts give equal
 * weights.
 */

import { entry, options as optionsOf } from "../arguments/entry.ts";
import { fields, needed } from "../arguments/fields.ts";
import { listOf, tokens } from "../arguments/lists.ts";
import { finite, oneOf, whole } from "../arguments/rules.ts";
import { judgeDefaults } from "../defaults.ts";
import { SluiceError } from "../errors.ts";
import { holdOutEvery } from "../numbers/hold-out.ts";

/** Token ids of texts of both classes. */
export interface LabelledTexts {
  /** Token ids of each text of the class that gets high scores. */
  readonly positive: readonly (readonly number[])[];
  /** Token ids of each text of the other class. */
  readonly negative: readonly (readonly number[])[];
}

/** Options of {@link fitUnigramClassifier}. */
export interface UnigramOptions {
  /** Texts are cut into pieces of this many tokens, as long as the texts to judge; default: not cut. */
  readonly pieceTokens?: number;
  /**
   * `logistic` (default) fits weights that separate the pieces. `log-odds` takes log p(token | positive) −
   * log p(token | negative), with one added to every token's count in both classes (naive Bayes at equal odds of the classes).
   */
  readonly method?: "logistic" | "log-odds";
  /** Weight of ½‖w‖² relative to the summed loss of `logistic`; default 1. */
  readonly l2?: number;
}

/** A classifier that counts tokens, regardless of order. */
export interface UnigramClassifier {
  /** Log-odds of the positive class: intercept + Σ counts · weights. Tokens that the fit has not seen weigh 0. */
  score(tokens: readonly number[]): number;
  /** Log-odds per occurrence, by token id. */
  readonly weights: ReadonlyMap<number, number>;
  /** Log-odds of a text without tokens. */
  readonly intercept: number;
  /** Share of the pieces of held-out texts, every fifth of either class, whose score has the right sign. */
  readonly accuracy: number;
  /** Pieces that it was fitted on. */
  readonly fitted: number;
  /** Held-out pieces that it was judged on. */
  readonly heldOut: number;
}

/** A piece: its features and how often each occurs. */
interface Example {
  readonly features: Int32Array;
  readonly counts: Float64Array;
  /** 1 or −1. */
  readonly label: number;
}

const labelled = needed(listOf(tokens));

export const unigramDoor = entry(
  "fitUnigramClassifier",
  ["texts", fields<LabelledTexts>("texts { positive, negative }")({ positive: labelled, negative: labelled })],
  optionsOf(
    fields<UnigramOptions>()({
      pieceTokens: whole({ least: 1 }),
      method: oneOf(["logistic", "log-odds"]),
      l2: finite({ above: 0 }),
    }),
  ),
);

export const scoreDoor = entry("classifier.score", ["tokens", tokens]);

const HELD_OUT_EVERY = 5;
const NEWTON_STEPS = 50;
/** Norm of the gradient at which Newton's method ends, relative to the first. */
const TOLERANCE = 1e-8;

/** @throws SluiceError `usage` for options out of range, or too few texts of a class to hold any out */
export function fitUnigramClassifier(texts: LabelledTexts, options: UnigramOptions = {}): UnigramClassifier {
  const [classes, { pieceTokens, method = judgeDefaults.method, l2 = judgeDefaults.l2 }] = unigramDoor.read(
    texts,
    options,
  );
  const positive = split("positive", classes.positive, pieceTokens);
  const negative = split("negative", classes.negative, pieceTokens);
  const { weights, intercept } =
    method === "logistic" ? regress(positive.fitted, negative.fitted, l2) : compare(positive.fitted, negative.fitted);
  const scoreOf = (ids: readonly number[]): number =>
    ids.reduce((sum, token) => sum + (weights.get(token) ?? 0), intercept);
  const right =
    positive.held.filter((piece) => scoreOf(piece) > 0).length +
    negative.held.filter((piece) => scoreOf(piece) <= 0).length;
  const heldOut = positive.held.length + negative.held.length;
  const fitted = positive.fitted.length + negative.fitted.length;
  const score = (ids: readonly number[]): number => scoreOf(...scoreDoor.read(ids));
  return { score, weights, intercept, accuracy: right / heldOut, fitted, heldOut };
}

type Pieces = readonly (readonly number[])[];
type Line = Pick<UnigramClassifier, "weights" | "intercept">;

function regress(positive: Pieces, negative: Pieces, l2: number): Line {
  const features = new Map<number, number>();
  for (const token of [positive, negative].flat(2)) if (!features.has(token)) features.set(token, features.size);
  const examples = [
    ...positive.map((tokens) => exampleOf(tokens, features, 1)),
    ...negative.map((tokens) => exampleOf(tokens, features, -1)),
  ];
  const solution = minimise(examples, features.size, l2);
  const weights = new Map([...features].map(([token, feature]) => [token, solution[feature] as number]));
  return { weights, intercept: solution[features.size] as number };
}

function compare(positive: Pieces, negative: Pieces): Line {
  const [plus, minus] = [positive.flat(), negative.flat()];
  const [often, seldom] = [countsOf(plus), countsOf(minus)];
  const tokens = [...new Set([...often.keys(), ...seldom.keys()])];
  const logShare = (counts: ReadonlyMap<number, number>, total: number, token: number): number =>
    Math.log(((counts.get(token) ?? 0) + 1) / (total + tokens.length));
  const weights = new Map(
    tokens.map((token) => [token, logShare(often, plus.length, token) - logShare(seldom, minus.length, token)]),
  );
  return { weights, intercept: 0 };
}

function countsOf(tokens: readonly number[]): ReadonlyMap<number, number> {
  const counts = new Map<number, number>();
  for (const token of tokens) counts.set(token, (counts.get(token) ?? 0) + 1);
  return counts;
}

/** Whole texts are held out, so that no piece of them is fitted. */
function split(name: string, texts: readonly (readonly number[])[], pieceTokens: number | undefined) {
  const usable = texts.filter(({ length }) => length > 0);
  if (usable.length < HELD_OUT_EVERY) {
    throw new SluiceError("usage", `The ${name} class has ${usable.length} texts; ${HELD_OUT_EVERY} are needed`, {
      hint: "A fifth of the texts is held out, to measure how good the classifier is.",
    });
  }
  const { fitted, held } = holdOutEvery(usable, HELD_OUT_EVERY);
  const pieces = (some: Pieces) => some.flatMap((tokens) => piecesOf(tokens, pieceTokens ?? tokens.length));
  return { fitted: pieces(fitted), held: pieces(held) };
}

/** Full pieces; a shorter text is one piece. */
function piecesOf(tokens: readonly number[], length: number): readonly (readonly number[])[] {
  const count = Math.max(1, Math.floor(tokens.length / length));
  return Array.from({ length: count }, (_, i) => tokens.slice(i * length, (i + 1) * length));
}

function exampleOf(tokens: readonly number[], features: ReadonlyMap<number, number>, label: number): Example {
  const counts = countsOf(tokens.map((token) => features.get(token) as number));
  return { features: Int32Array.from(counts.keys()), counts: Float64Array.from(counts.values()), label };
}

/**
 * Σ log(1 + exp(−y·z)) + l2/2 ‖w‖² with z = w·x + b; the intercept b, the last of the unknowns, is not penalised. Newton
 * directions come from conjugate gradients, steps are halved until the value falls.
 */
function minimise(examples: readonly Example[], features: number, l2: number): Float64Array {
  let at = new Float64Array(features + 1);
  let { value, gradient, curvature } = evaluateAt(examples, at, l2);
  const enough = TOLERANCE * norm(gradient);
  for (let step = 0; step < NEWTON_STEPS && norm(gradient) > enough; step++) {
    const direction = solve((vector) => hessianTimes(examples, curvature, vector, l2), gradient);
    let scale = 1;
    const moved = () => at.map((entry, i) => entry - scale * (direction[i] as number));
    let next = moved();
    let found = evaluateAt(examples, next, l2);
    while (found.value > value && scale > 1e-10) {
      scale /= 2;
      next = moved();
      found = evaluateAt(examples, next, l2);
    }
    if (found.value > value) break;
    at = next;
    ({ value, gradient, curvature } = found);
  }
  return at;
}

function evaluateAt(examples: readonly Example[], at: Float64Array, l2: number) {
  const last = at.length - 1;
  const gradient = at.map((weight, i) => (i < last ? l2 * weight : 0));
  let value = 0.5 * l2 * at.subarray(0, last).reduce((sum, weight) => sum + weight * weight, 0);
  /** p(1 − p) of each example. */
  const curvature = new Float64Array(examples.length);
  examples.forEach((example, i) => {
    const margin = example.label * dot(example, at);
    value += margin > 0 ? Math.log1p(Math.exp(-margin)) : Math.log1p(Math.exp(margin)) - margin;
    const wrong = 1 / (1 + Math.exp(margin));
    curvature[i] = wrong * (1 - wrong);
    addTo(gradient, example, -example.label * wrong);
  });
  return { value, gradient, curvature };
}

function hessianTimes(examples: readonly Example[], curvature: Float64Array, vector: Float64Array, l2: number) {
  const last = vector.length - 1;
  const product = vector.map((entry, i) => (i < last ? l2 * entry : 0));
  examples.forEach((example, i) => {
    addTo(product, example, (curvature[i] as number) * dot(example, vector));
  });
  return product;
}

/** A·x = b for a positive definite A, by conjugate gradients, to a hundred-millionth of b's length. */
function solve(times: (vector: Float64Array) => Float64Array, b: Float64Array): Float64Array {
  const x = new Float64Array(b.length);
  const residual = b.slice();
  const direction = b.slice();
  let square = inner(residual, residual);
  const enough = square * 1e-16;
  for (let i = 0; i < b.length && square > enough; i++) {
    const product = times(direction);
    const step = square / inner(direction, product);
    for (let j = 0; j < b.length; j++) {
      x[j] = (x[j] as number) + step * (direction[j] as number);
      residual[j] = (residual[j] as number) - step * (product[j] as number);
    }
    const next = inner(residual, residual);
    for (let j = 0; j < b.length; j++) {
      direction[j] = (residual[j] as number) + (next / square) * (direction[j] as number);
    }
    square = next;
  }
  return x;
}

/** w·x + b. */
function dot({ features, counts }: Example, at: Float64Array): number {
  return features.reduce(
    (sum, feature, i) => sum + (counts[i] as number) * (at[feature] as number),
    at[at.length - 1] as number,
  );
}

function addTo(sum: Float64Array, { features, counts }: Example, factor: number): void {
  features.forEach((feature, i) => {
    sum[feature] = (sum[feature] as number) + factor * (counts[i] as number);
  });
  sum[sum.length - 1] = (sum[sum.length - 1] as number) + factor;
}

function inner(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, value, i) => sum + value * (b[i] as number), 0);
}

function norm(vector: Float64Array): number {
  return Math.sqrt(inner(vector, vector));
}
