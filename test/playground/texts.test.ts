/** Texts of the playground: links, lists of sentences, words for values. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { sentencesIn, split } from "../../playground/src/fit/lists.ts";
import { heatOf } from "../../playground/src/steer/heat.ts";
import { packed, unpacked } from "../../playground/src/steer/packed-text.ts";
import { conceptOf, stageWords, strengthWords } from "../../playground/src/steer/words.ts";

test("a link holds any text, in characters of an address", async () => {
  for (const text of ["", '{"prompt":"Ça va? 你好 😀"}', "x".repeat(100_000)]) {
    const link = await packed(text);
    assert.match(link, /^[\w-]*$/);
    assert.is(await unpacked(link), text);
  }
});

test("lists are lines, or the texts of lines of JSON", () => {
  assert.equal(sentencesIn('One.\n\n  Two. \r\n{"text":"Three."}\n{curly'), ["One.", "Two.", "Three.", "{curly"]);
  const { fit, judge } = split([...Array(10).keys()]);
  assert.equal([fit.length, judge], [8, [4, 9]]);
  assert.equal(split([1, 2]), { fit: [1, 2], judge: [1, 2] });
});

test("a stage is said in words", () => {
  const concept = conceptOf(null, { sources: { positive: "data/plays.jsonl", negative: "data/tales.jsonl" } });
  assert.equal(concept, { towards: "plays", away: "tales" });
  const ace = { id: "a", kind: "affine", method: "ace", site: "resid_post", layers: [2] } as const;
  assert.is(stageWords(ace, concept), "Moves layer 2 towards plays");
  assert.is(stageWords({ ...ace, layers: [1, 2, 3] }, concept), "Moves layers 1 to 3 towards plays");
  assert.is(stageWords({ ...ace, layers: [0, 2] }, concept), "Moves layers 0, 2 towards plays");
  assert.equal([-1, 0, 0.2, 1, 1.5].map(strengthWords), ["reversed", "off", "a little", "as made", "stronger"]);
});

test("heat has five steps", () => {
  assert.equal([0, 0.1, 0.6, 1, 7].map(heatOf), [0, 1, 2, 3, 4]);
});

test.run();
