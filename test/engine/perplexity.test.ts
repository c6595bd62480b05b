/** Perplexity against logits taken by hand: of packed documents, and through windows over a text beyond the context. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Positions } from "../../src/interventions/positions.ts";
import type { Stage } from "../../src/interventions/stage.ts";
import { refusal } from "../formats/refusal.ts";
import { location, readJson } from "../support/files.ts";
import { load } from "../support/load.ts";
import { pushStage } from "../support/stages.ts";

/** Sum of the negative log-likelihoods of tokens [from, to) given those before, from logits `[T, vocab]` in float64. */
function loss(
  logits: Float32Array,
  vocab: number,
  tokens: readonly number[],
  from: number,
  to = tokens.length,
): number {
  let sum = 0;
  for (let position = from; position < to; position++) {
    const row = logits.subarray((position - 1) * vocab, position * vocab);
    const most = row.reduce((largest, logit) => Math.max(largest, logit), Number.NEGATIVE_INFINITY);
    const total = row.reduce((mass, logit) => mass + Math.exp(logit - most), 0);
    sum += most + Math.log(total) - (row[tokens[position] as number] as number);
  }
  return sum;
}

test("documents of different lengths share steps, and each is measured as if alone", async () => {
  const { greedy } = await readJson<{ greedy: { prompt_ids: number[]; greedy_ids: number[] }[] }>(
    "weights/gpt2-stories/expected.json",
  );
  const documents = greedy.map(({ prompt_ids, greedy_ids }, i) =>
    [50_256, ...prompt_ids, ...greedy_ids].slice(0, 40 - 11 * i),
  );
  const model = await load(location("weights/gpt2-stories"));
  const { nll, tokens } = await model.perplexity([...documents, [50_256]]);
  let sum = 0;
  for (const document of documents)
    sum += loss((await model.logits(document)).data, model.config.vocab_size, document, 1);
  assert.is(
    tokens,
    documents.reduce((count, { length }) => count + length - 1, 0),
  );
  assert.ok(Math.abs(nll - sum / tokens) < 1e-4, `${nll} against ${sum / tokens}`);
  model.dispose();
});

test("a text longer than the context is measured through windows that predict every token once", async () => {
  const model = await load(location("weights/gpt-nano-sort"));
  const tokens = [2, 0, 1, 1, 0, 2, 0, 0, 1, 1, 2, 2, 1, 0, 2, 1, 0];
  const { nll, tokens: count } = await model.perplexity([tokens], { stride: 4 });
  // The same windows by hand: [0, 11) predicts 1 to 10, then four tokens at a time after as much context as fits.
  let sum = 0;
  for (const [begin, end, predicted] of [
    [0, 11, 1],
    [4, 15, 11],
    [6, 17, 15],
  ] as const) {
    const window = tokens.slice(begin, end);
    sum += loss((await model.logits(window)).data, 3, window, predicted - begin);
  }
  assert.is(count, tokens.length - 1);
  assert.ok(Math.abs(nll - sum / count) < 1e-5, `${nll} against ${sum / count}`);
  model.dispose();
});

test("prompts of lengths that no text has are refused before anything runs, and so are empty runs", async () => {
  const model = await load(location("weights/gpt-nano-sort"));
  const texts = [
    [2, 0, 1],
    [1, 0],
  ];
  for (const promptLength of [-5, 0, 1.5, Number.NaN, 4]) {
    await refusal("usage", () => model.perplexity(texts, { promptLength }), `is ${promptLength}`, "from 1 to 3");
    await refusal("usage", () => model.logits([2, 0, 1], { promptLength }), `is ${promptLength}`, "from 1 to 3");
  }
  // Of a shorter text, all is the prompt's.
  const { nll } = await model.perplexity(texts);
  assert.is((await model.perplexity(texts, { promptLength: 3 })).nll, nll);
  await refusal("usage", () => model.logits([]), "The prompt is empty");
  await refusal("usage", () => model.capture([], ["embed"]), "The prompt is empty");
  model.dispose();
});

test("a stage that acts on no token of the texts is reported, and one that acts on some is not", async () => {
  const notices: string[] = [];
  const model = await load(location("weights/gpt-nano-sort"), { onNotice: (text) => notices.push(text) });
  const direction = Float32Array.from({ length: model.config.hidden_size }, (_, i) => Math.sin(i));
  const texts = [
    [2, 0, 1],
    [1, 2],
  ];
  const noticesOf = async (positions: Positions, promptLength?: number) => {
    const edited = model.withStages({ stages: [{ ...pushStage(direction), positions } as Stage], warnings: [] });
    notices.length = 0;
    await edited.perplexity(texts, promptLength === undefined ? {} : { promptLength });
    return notices.filter((text) => text.includes('"push"')).join();
  };
  assert.match(await noticesOf("generated"), /"generated".*no token of the texts.*changes nothing/);
  assert.is(await noticesOf("generated", 2), "");
  assert.is(await noticesOf({ tokens: [0] }), "");
  assert.match(await noticesOf({ from: 5 }), /no token of the texts: it changes nothing/);
  model.dispose();
});

test.run();
