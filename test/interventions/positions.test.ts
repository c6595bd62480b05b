/** Positions: what they mean for every token, what is refused, what is reported. */
import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { checkPositions } from "../../src/interventions/check-positions.ts";
import { describePositions } from "../../src/interventions/describe-positions.ts";
import { positionWarnings } from "../../src/interventions/position-warnings.ts";
import {
  acts,
  dependsOnPrompt,
  isEverywhere,
  isNowhere,
  missesAll,
  type Positions,
  resolvePositions,
} from "../../src/interventions/positions.ts";
import type { Stage } from "../../src/interventions/stage.ts";
import { randomPositions } from "../reference/random-compositions.ts";
import { covers } from "../reference/stages.ts";

const tokens = [5, 9, 5, 0, 31, 9, 7, 7, 2, 40, 12, 5];
const refuse = (field: string, problem: string) => new Error(`${field} ${problem}`) as never;
const at = (positions: Positions, promptLength: number): readonly number[] =>
  tokens.flatMap((token, i) => (acts(resolvePositions(positions, promptLength), i, token) ? [i] : []));

test("each form, at a prompt of 8 of 12 tokens", () => {
  const cases: readonly (readonly [Positions, readonly number[]])[] = [
    ["prompt", [0, 1, 2, 3, 4, 5, 6, 7]],
    ["generated", [8, 9, 10, 11]],
    ["last_prompt_onward", [7, 8, 9, 10, 11]],
    [{ from: -1 }, [7, 8, 9, 10, 11]],
    [{ from: 6, to: "P" }, [6, 7]],
    [{ from: -3, to: -1 }, [5, 6]],
    [{ from: 2, to: -4 }, [2, 3]],
    [
      [0, 1, -2, -1],
      [0, 1, 6, 7],
    ],
    [[9, 9, -9, 100], [9]],
    [{ tokens: [9, 5, 9] }, [0, 1, 2, 5, 11]],
    [{ not: { tokens: [9, 5, 7, 0] } }, [4, 8, 9, 10]],
    [{ any: [[3], { tokens: [40] }, { not: { from: 1 } }] }, [0, 3, 9]],
    [{ not: { any: ["prompt", { from: 10 }] } }, [8, 9]],
    // What counts back beyond the prompt's start is left out, the rest of a range stays.
    [{ from: -20, to: 2 }, [0, 1]],
    [[-9], []],
  ];
  for (const [positions, expected] of cases) assert.equal(at(positions, 8), expected, JSON.stringify(positions));
});

test("any positions mean what the specification says, token by token", () => {
  fc.assert(
    fc.property(randomPositions, fc.integer({ min: 0, max: 13 }), (positions, promptLength) => {
      const expected = tokens.flatMap((_, i) => (covers(positions, i, { tokens, promptLength }) ? [i] : []));
      assert.equal(at(positions, promptLength), expected);
      const scope = resolvePositions(positions, promptLength);
      if (missesAll(scope, tokens.length)) assert.equal(expected, []);
      if (isEverywhere(positions)) assert.is(expected.length, tokens.length);
      if (isNowhere(positions)) assert.equal(expected, []);
      if (!dependsOnPrompt(positions)) assert.equal(at(positions, 5), expected);
      assert.ok(describePositions(positions).length > 0);
    }),
    { numRuns: 400 },
  );
});

test("what is no position is refused by its place", () => {
  const nested = (depth: number): unknown => (depth === 0 ? "all" : { not: { any: [nested(depth - 1)] } });
  const bad: readonly (readonly [unknown, RegExp])[] = [
    ["promt", /^positions is "promt", which is unknown/],
    [null, /^positions is null/],
    [7, /^positions is 7/],
    [[], /^positions is empty/],
    [[0, 1.5], /^positions\[1\] is 1.5, not a whole number/],
    [[0, "1"], /^positions\[1\] is "1"/],
    [new Array(3), /^positions\[0\] is nothing/],
    [[2 ** 40], /^positions\[0\] is 1099511627776; positions here lie from/],
    [{}, /^positions is {}, which is unknown/],
    [{ to: 3 }, /^positions.from is missing/],
    [{ from: 3, to: 3 }, /an empty range/],
    [{ from: -1, to: -2 }, /an empty range/],
    [{ from: 0, to: "p" }, /^positions.to is "p", neither/],
    [{ from: 0, until: 2 }, /^positions.until is not a field here/],
    [{ tokens: [] }, /^positions.tokens is empty/],
    [{ tokens: [-1] }, /^positions.tokens\[0\] is -1; token ids/],
    [{ tokens: [50] }, /lie from 0 to 49/],
    [{ any: [] }, /^positions.any is empty/],
    [{ any: ["all", { not: [] }] }, /^positions.any\[1\].not is empty/],
    [{ not: "all" }, /nowhere/],
    [{ not: { any: [[1], { not: { not: "all" } }] } }, /nowhere/],
    [nested(9), /^positions nests any and not more than 16 deep/],
    [{ any: Array.from({ length: 2000 }, () => [1]) }, /more than 1024 parts/],
    [Array.from({ length: 600_000 }, (_, i) => i), /more than 524,288 numbers/],
  ];
  for (const [value, message] of bad) assert.throws(() => checkPositions(value, refuse, 50), message);
  for (const value of [{ from: -8, to: 3 }, [-1, 7], nested(8), { not: [5] }]) checkPositions(value, refuse, 50);
  // Deeper than any call could go.
  const abyss: unknown = JSON.parse(`${'{"not":'.repeat(100_000)}"all"${"}".repeat(100_000)}`);
  assert.throws(() => checkPositions(abyss, refuse), /deep/);
});

test("a stage that acts on no token of a run, and one that asks for a longer prompt, are reported", () => {
  const stage = (positions: Positions): Stage => ({
    id: "calm",
    kind: "neuron_scale",
    site: "mlp_out",
    layers: [0],
    positions,
    strength: 1,
    values: new Map(),
  });
  const warnings = (positions: Positions, run: Parameters<typeof positionWarnings>[1]) =>
    positionWarnings([stage(positions)], run).join();
  assert.match(
    warnings("generated", { promptLength: 9, length: 9 }),
    /"calm".*"generated".*none.*all of them the prompt/,
  );
  assert.is(warnings("generated", { promptLength: 9, length: 10 }), "");
  assert.match(warnings([0, -12], { promptLength: 9, length: 9 }), /"calm".*counts back 12.*9 tokens/);
  assert.match(warnings([-12], { promptLength: 9, length: 9 }), /none/);
  assert.is(warnings({ tokens: [3] }, { promptLength: 2, length: 4 }), "");
  assert.match(warnings({ tokens: [3] }, { promptLength: 2, length: 2, tokens: [1, 2] }), /none/);
  assert.is(warnings({ tokens: [3] }, { promptLength: 2, length: 2, tokens: [1, 3] }), "");
});

test.run();
