/** Which stages meet on a token, whatever the prompt. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { actingTogether } from "../../src/interventions/acting-together.ts";
import { acts, type Positions, resolvePositions } from "../../src/interventions/positions.ts";

/** All texts with small prompts and ids. */
function byTrial(all: readonly Positions[]): Set<string> {
  const found = new Set<string>();
  for (let length = 1; length <= 14; length++) {
    const scopes = all.map((positions) => resolvePositions(positions, length));
    for (let position = 0; position < 20; position++) {
      for (let id = 0; id < 5; id++) {
        found.add(scopes.flatMap((scope, i) => (acts(scope, position, id) ? [i] : [])).join());
      }
    }
  }
  return found;
}

const cases: readonly (readonly Positions[])[] = [
  ["prompt", "generated"],
  ["prompt", "last_prompt_onward", [3]],
  ["prompt", { from: 2, to: 4 }, { from: -2 }],
  ["all", "prompt", { from: 3, to: -1 }],
  [{ from: 0, to: "P" }, { not: "prompt" }],
  [[0, 1, 2], [3, 4], { from: 1, to: 4 }],
  [[-1], [-2, -3], [0], "generated"],
  [{ tokens: [1, 2] }, { tokens: [2, 3] }, "prompt"],
  [{ tokens: [1] }, { not: { tokens: [1] } }],
  [{ any: [[0], { tokens: [3] }] }, { from: 1 }, { not: { any: ["prompt", { tokens: [2] }] } }],
  [[], "prompt"],
];

test("the same as trying every text", () => {
  for (const all of cases) {
    const found = new Set(actingTogether(all).map((indices) => indices.join()));
    assert.equal([...found].sort(), [...byTrial(all)].sort(), JSON.stringify(all));
  }
});

test("many bounds are not told apart, and take no time", () => {
  const even = Array.from({ length: 50_000 }, (_, i) => 2 * i);
  assert.equal(actingTogether([even, even.map((at) => at + 1)]), [[0, 1]]);
  assert.equal(actingTogether(["all", "all"]), [[0, 1]]);
});

test.run();
