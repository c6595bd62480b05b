/** Which of a list are held out. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { holdOutEvery, holdOutShare } from "../../src/numbers/hold-out.ts";

const list = Array.from({ length: 11 }, (_, i) => i);

test("the last of every so many, or a share spread evenly; the rest is fitted, in order", () => {
  assert.equal(holdOutEvery(list, 5), { fitted: [0, 1, 2, 3, 5, 6, 7, 8, 10], held: [4, 9] });
  assert.equal(holdOutShare(list, 0.25).held, [3, 7]);
  assert.equal(holdOutShare(list, 0.5).fitted, [0, 2, 4, 6, 8, 10]);
  assert.equal(holdOutShare(list, 0).held, []);
});

test.run();
