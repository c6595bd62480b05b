/** Perplexity through windows over a text longer than the context, against logits taken by hand. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { load } from "../../src/index.ts";
import { location } from "../support/files.ts";

test("a text longer than the context is measured through windows that predict every token once", async () => {
  const model = await load(location("weights/gpt-nano-sort"));
  const tokens = [2, 0, 1, 1, 0, 2, 0, 0, 1, 1, 2, 2, 1, 0, 2, 1, 0];
  const { nll, tokens: count } = await model.perplexity([tokens], { stride: 4 });
  // The same windows by hand: [0, 11) predicts 1 to 10, then four tokens at a time behind as much context as fits.
  let sum = 0;
  for (const [begin, end, predicted] of [
    [0, 11, 1],
    [4, 15, 11],
    [6, 17, 15],
  ] as const) {
    const { data } = await model.logits(tokens.slice(begin, end));
    for (let position = predicted; position < end; position++) {
      const row = [...data.subarray((position - 1 - begin) * 3, (position - begin) * 3)];
      const most = Math.max(...row);
      const total = row.reduce((mass, logit) => mass + Math.exp(logit - most), 0);
      sum += most + Math.log(total) - (row[tokens[position] as number] as number);
    }
  }
  assert.is(count, tokens.length - 1);
  assert.ok(Math.abs(nll - sum / count) < 1e-5, `${nll} against ${sum / count}`);
  model.dispose();
});

test.run();
