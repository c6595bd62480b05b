/** Texts of the playground: links, lists of sentences, words for values. */
import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { sentencesIn, split } from "../../playground/src/fit/lists.ts";
import { heatOf } from "../../playground/src/steer/heat.ts";
import { packed, unpacked } from "../../playground/src/steer/packed-text.ts";
import { readLink } from "../../playground/src/steer/shared-link.ts";
import { conceptOf, stageWords, strengthWords } from "../../playground/src/steer/words.ts";

test("a link holds any text, in characters of an address", async () => {
  for (const text of ["", '{"prompt":"Ça va? 你好 😀"}', "x".repeat(100_000)]) {
    const link = await packed(text);
    assert.match(link, /^[\w-]*$/);
    assert.is(await unpacked(link), text);
  }
});

const stage = { id: "push", on: true, strength: 0.5, alpha: 2, scope: "made", edges: [[3, 0.25]] };
const sampling = { temperature: 0.6, seed: 5, maxNewTokens: 8 };
const tokens = { plain: [1, 2], edited: ["a", " b"] };
const link = {
  ...{ v: 1, model: "stories260K", server: "http://localhost:8000", prompt: "Once", chat: true, device: "a GPU" },
  bundles: [
    { title: "push", sha256: "00ff", from: { kind: "file" }, bytes: "AAEC" },
    { title: "calm", sha256: "server:calm", from: { kind: "server", name: "calm" } },
    { title: "far", sha256: "01", from: { kind: "link", address: "https://example.org/far.safetensors" } },
    { title: "dial", sha256: "02", from: { kind: "shelf", id: "dial" } },
  ],
  stages: [stage, { ...stage, alpha: null }],
  sampling,
  tokens,
  system: "",
  turns: [{ message: "Hi", sampling, stages: [stage], tokens, isGiven: false }],
};

const open = async (value: unknown) => readLink(await packed(JSON.stringify(value)));

/** What is said of a link; null if it opens. */
async function saidOf(reading: Promise<unknown>): Promise<string | null> {
  return reading.then(
    () => null,
    (error: unknown) => (error as Error).message,
  );
}

/** Every place below a value, the value's own last. */
function* placesOf(value: unknown, path: readonly string[] = []): Generator<readonly string[]> {
  if (typeof value !== "object" || value === null) return;
  for (const [name, below] of Object.entries(value)) {
    yield* placesOf(below, [...path, name]);
    yield [...path, name];
  }
}

/** A copy with another value at a place. */
function replaced(value: unknown, [name, ...rest]: readonly string[], by: unknown): unknown {
  if (name === undefined) return by;
  const copy: Record<string, unknown> | unknown[] = Array.isArray(value) ? [...value] : { ...(value as object) };
  (copy as Record<string, unknown>)[name] = replaced((copy as Record<string, unknown>)[name], rest, by);
  return copy;
}

test("a link is read as it was written, without what no link has", async () => {
  assert.equal(await open(link), link);
  const { server: _, tokens: __, system: ___, turns: ____, ...least } = link;
  assert.equal(await open({ ...least, more: 1 }), least);
});

test("each field of a link is checked, and named if it is wrong", async () => {
  for (const path of placesOf(link)) {
    const said = await saidOf(open(replaced(link, path, { kind: "?" })));
    const named = path.map((name, i) => (/^\d+$/.test(name) ? `[${name}]` : i > 0 ? `.${name}` : name)).join("");
    if (named === "v") assert.match(said ?? "", /another version/);
    else assert.ok(said?.startsWith(`This link is damaged: ${named}`), `${named}: ${said}`);
  }
  const many = { ...link, bundles: Array(1000).fill(link.bundles[0]) };
  for (const bad of [
    null,
    [],
    many,
    { ...link, model: "x".repeat(5000) },
    { ...link, sampling: { ...sampling, seed: 0.5 } },
    { ...link, sampling: { ...sampling, temperature: -1 } },
    { ...link, stages: [{ ...stage, edges: [[0, 2]] }] },
    { ...link, bundles: [{ ...link.bundles[0], bytes: "no base64" }] },
  ]) {
    assert.match((await saidOf(open(bad))) ?? "", /^This link is damaged: /);
  }
  // JSON has no infinity, but a number can be too large to be read as another.
  const endless = JSON.stringify(link).replace('"strength":0.5', '"strength":1e999');
  assert.match((await saidOf(readLink(await packed(endless)))) ?? "", /strength is not a finite number/);
});

test("whatever stands in a link, it opens or is said to be damaged", async () => {
  const places = [...placesOf(link)];
  const said = /^This link (is damaged|was made by another version)/;
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...places), fc.jsonValue(), async (path, by) => {
      assert.match((await saidOf(open(replaced(link, path, by)))) ?? "This link is damaged", said);
    }),
    { numRuns: 30 },
  );
  await fc.assert(
    fc.asyncProperty(fc.string(), async (text) => assert.match((await saidOf(readLink(text))) ?? "", said)),
    { numRuns: 50 },
  );
  assert.is(await saidOf(readLink(await packed(" ".repeat(9 << 20)))), "This link is damaged.");
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
