/** `sluice lens`: the table that people read, and the object for programs. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { location } from "../support/files.ts";
import { runReal } from "./real-library.ts";

const story = location("weights/stories260K");

test("the table has a row per layer and a column per token, in blocks that fit the screen", async () => {
  const { code, stdout } = await runReal(["lens", story, "Once upon a time", "--ask", "432"]);
  assert.is(code, 0);
  const lines = stdout.split("\n");
  assert.ok(
    lines.every((line) => [...line].length <= 80),
    stdout,
  );
  const rows = ["embed", ...[0, 1, 2, 3, 4].map((layer) => `resid_post.${layer}`)];
  for (const row of rows)
    assert.ok(
      lines.some((line) => line.startsWith(`  ${row} `)),
      row,
    );
  // The next token of the text is marked; the last layer's distance from the model is none.
  assert.match(stdout, /\*/);
  assert.match(stdout, /resid_post\.4 +0\.000/);
  assert.match(stdout, /Token 432: percent, and rank/);
});

test("--json has every cell, and --layers chooses", async () => {
  const args = ["lens", story, "--tokens", "1,403,407", "--layers", "4,1", "--top", "2", "--ask", "5,9", "--json"];
  const result = JSON.parse((await runReal(args)).stdout);
  assert.equal(
    result.layers.map(({ site }: { site: string }) => site),
    ["resid_post.1", "resid_post.4"],
  );
  const [cell] = result.layers[1].cells;
  assert.equal(Object.keys(cell).sort(), ["asked", "entropy_nats", "kl_nats", "next", "top"]);
  assert.is(cell.top.length, 2);
  assert.is(cell.asked.length, 2);
  assert.is(result.layers[1].cells.at(-1).next, null);
  assert.equal(result.tokens, [1, 403, 407]);
  assert.equal((await runReal(["lens", story, "--tokens", "1", "--layers", "x"])).code, 2);
});

test.run();
