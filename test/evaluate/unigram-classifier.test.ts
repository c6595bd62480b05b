/** The fitted judges: against the conditions of their optimum, frequencies counted by hand, and texts they have not seen. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { fitUnigramClassifier } from "../../src/evaluate/unigram-classifier.ts";
import { uniform } from "../reference/draw.ts";

/** Texts of ids below 12, of which the positive class prefers the high ones. */
function drawn(seed: number, count: number, tilt: number): number[][] {
  const draw = uniform(seed);
  return Array.from({ length: count }, () =>
    Array.from({ length: 1 + Math.floor(draw() * 20) }, () => Math.floor(12 * draw() ** tilt)),
  );
}

const texts = { positive: drawn(1, 60, 0.7), negative: drawn(2, 90, 1.4) };

for (const l2 of [0.01, 1, 30]) {
  test(`logistic, l2 ${l2}: at its weights the gradient of loss and penalty is zero`, () => {
    const { score, weights, intercept, fitted } = fitUnigramClassifier(texts, { l2 });
    const gradient = new Map([...weights].map(([token, weight]) => [token, l2 * weight]));
    let slope = 0;
    const isHeld = (i: number) => i % 5 === 4;
    for (const [name, label] of [["positive", 1] as const, ["negative", -1] as const]) {
      for (const tokens of texts[name].filter((_, i) => !isHeld(i))) {
        const wrong = label / (1 + Math.exp(label * score(tokens)));
        slope -= wrong;
        for (const token of tokens) gradient.set(token, (gradient.get(token) ?? 0) - wrong);
      }
    }
    assert.is(fitted, 120);
    assert.ok(Math.abs(slope) < 1e-4, `intercept ${slope}`);
    for (const [token, value] of gradient) assert.ok(Math.abs(value) < 1e-4, `token ${token}: ${value}`);
    assert.ok(Number.isFinite(intercept));
  });
}

test("log-odds are those of the frequencies, one more of each token in either class", () => {
  const positive = [[1, 1, 2], [1], [1], [2], [9, 9, 9]];
  const negative = [[3], [3, 2], [3], [2], [9]];
  const { score, weights, accuracy, heldOut } = fitUnigramClassifier({ positive, negative }, { method: "log-odds" });
  // The fifth text of either class is held out: 4 ones and 2 twos stand against 3 threes and 2 twos.
  assert.ok(Math.abs((weights.get(1) ?? 0) - Math.log(5 / 9 / (1 / 8))) < 1e-12);
  assert.ok(Math.abs((weights.get(3) ?? 0) - Math.log(1 / 9 / (4 / 8))) < 1e-12);
  assert.ok(Math.abs(score([2, 2, 1, 7]) - 2 * Math.log(3 / 9 / (3 / 8)) - Math.log(5 / 9 / (1 / 8))) < 1e-12);
  // Of the held-out texts neither says anything, which counts as negative.
  assert.equal([accuracy, heldOut], [0.5, 2]);
});

test("equal texts give equal weights, and pieces are cut from whole texts", () => {
  const options = { pieceTokens: 4 };
  const first = fitUnigramClassifier(texts, options);
  assert.equal([...first.weights], [...fitUnigramClassifier(texts, options).weights]);
  const pieces = [...texts.positive, ...texts.negative].reduce(
    (sum, { length }) => sum + Math.max(1, Math.floor(length / 4)),
    0,
  );
  assert.is(first.fitted + first.heldOut, pieces);
  assert.ok(first.accuracy > 0.6, `${first.accuracy}`);
});

test("classes that one token separates are separated, and tokens of neither weigh nothing", () => {
  const [positive, negative] = [1, 2].map((token) => Array.from({ length: 10 }, () => [token, 5])) as [
    number[][],
    number[][],
  ];
  const { accuracy, score, intercept } = fitUnigramClassifier({ positive, negative });
  assert.is(accuracy, 1);
  assert.is(score([77]), intercept);
});

test("too few texts and options out of range are refused by name", () => {
  const few = { positive: [[1], [2], [3], [4]], negative: texts.negative };
  assert.throws(() => fitUnigramClassifier(few), /positive class has 4 texts; 5 are needed/);
  assert.throws(() => fitUnigramClassifier(texts, { l2: 0 }), /l2 is 0/);
  assert.throws(() => fitUnigramClassifier(texts, { pieceTokens: 1.5 }), /pieceTokens is 1.5/);
});

test.run();
