/** A model against its edited self: every number against the logits, losses and generations that it stands for. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { evaluate } from "../../src/index.ts";
import type { Positions } from "../../src/interventions/positions.ts";
import type { Composition } from "../../src/interventions/stage.ts";
import type { Model } from "../../src/model/model.ts";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";

const model = await load(location("weights/gpt-nano-sort"));
const d = model.config.hidden_size;

/** An addition at one layer. */
function adding(positions: Positions, strength = 1): Composition {
  const direction = Float32Array.from({ length: d }, (_, i) => 0.6 * Math.sin(1.3 * i));
  const values = new Map([[1, { direction }]]);
  const stage = { kind: "affine", method: "addition", site: "resid_post", layers: [1], gate: "identity" } as const;
  return { stages: [{ ...stage, id: "add", alpha: 1, strength, positions, values }], warnings: [] };
}

const documents = [[2, 0, 1, 1, 0, 2, 0, 0, 1, 1, 2], [1], [1, 0, 2, 2], [0, 2, 1, 0, 1, 0, 0, 0], [2, 1]];

/** Log-probabilities after each token. */
async function predictions(of: Model, tokens: readonly number[]): Promise<readonly number[][]> {
  const { data, shape } = await of.logits(tokens);
  const width = shape[1] as number;
  return tokens.map((_, t) => {
    const row = [...data.subarray(t * width, (t + 1) * width)];
    const total = Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0));
    return row.map((value) => value - total);
  });
}

test("texts: perplexities, divergence and agreement are those of the logits, with stages at every position", async () => {
  const everywhere = model.withStages(adding("all"));
  const edited = model.withStages(adding("generated"));
  const { predictions: report, continuations } = await evaluate(edited, { documents });
  assert.is(continuations, null);
  let [plain, changed, divergence, agreeing, count] = [0, 0, 0, 0, 0];
  for (const tokens of documents.filter(({ length }) => length > 1)) {
    const [p, q] = [await predictions(model, tokens), await predictions(everywhere, tokens)];
    for (let t = 0; t + 1 < tokens.length; t++) {
      const [a, b, next] = [p[t] as number[], q[t] as number[], tokens[t + 1] as number];
      plain -= a[next] as number;
      changed -= b[next] as number;
      divergence += a.reduce((sum, value, i) => sum + Math.exp(value) * (value - (b[i] as number)), 0);
      if (a.indexOf(Math.max(...a)) === b.indexOf(Math.max(...b))) agreeing++;
      count++;
    }
  }
  assert.equal([report?.texts, report?.tokens, report?.widened], [4, count, ["add"]]);
  near(report?.perplexity.plain.value, Math.exp(plain / count), 1e-4);
  near(report?.perplexity.edited.value, Math.exp(changed / count), 1e-4);
  near(report?.perplexity.ratio.value, Math.exp((changed - plain) / count), 1e-4);
  near(report?.kl_nats.value, divergence / count, 1e-4);
  near(report?.agreement.value, agreeing / count, 1e-9);
  assert.ok(divergence / count > 0.01, "the edit changes something");
  const { low, high, value } = report?.perplexity.ratio ?? {};
  assert.ok(low !== undefined && low !== null && low <= (value ?? 0) && (high ?? 0) >= (value ?? 0));
});

test("positions that do not depend on a prompt are measured as they stand: perplexity and evaluate agree", async () => {
  for (const positions of [{ from: 1 }, { not: { tokens: [2] } }, [0, 3]] as const) {
    const edited = model.withStages(adding(positions));
    const { predictions: report } = await evaluate(edited, { documents });
    assert.equal(report?.widened, []);
    near(report?.perplexity.edited.value, (await edited.perplexity(documents)).perplexity, 1e-5);
  }
});

test("continuations are those that either model draws alone with the pair's seed, and shares count their scores", async () => {
  const edited = model.withStages(adding("generated", 3));
  const prompts = [
    [2, 0, 1, 1, 0, 2],
    [1, 1],
    [0, 2, 2],
  ];
  const scorer = ({ tokens }: { readonly tokens: readonly number[] }) => tokens.reduce((sum, token) => sum + token, 0);
  const options = { prompts, scorer, threshold: 4, continuations: 7, newTokens: 5, temperature: 2, seed: 40 };
  const { continuations: report, predictions: none } = await evaluate(edited, options);
  assert.is(none, null);
  const pairs = report?.pairs ?? [];
  assert.equal(
    pairs.map(({ prompt, seed }) => [prompt, seed]),
    Array.from({ length: 21 }, (_, i) => [Math.floor(i / 7), 40 + i]),
  );
  for (const { prompt, seed, plain, edited: other } of pairs.filter((_, i) => i % 9 === 0)) {
    const settings = { maxNewTokens: 5, temperature: 2, seed: seed ?? 0 };
    const tokens = prompts[prompt] as number[];
    assert.equal(plain.tokens, (await model.generate(tokens, settings).result()).tokens);
    assert.equal(other.tokens, (await edited.generate(tokens, settings).result()).tokens);
    assert.is(plain.score, scorer(plain));
  }
  const mean = (side: "plain" | "edited") => pairs.reduce((sum, pair) => sum + pair[side].score, 0) / 21;
  const share = (side: "plain" | "edited") => pairs.filter((pair) => pair[side].score > 4).length / 21;
  near(report?.mean.difference.value, mean("edited") - mean("plain"), 1e-9);
  near(report?.share?.plain.value, share("plain"), 1e-9);
  near(report?.share?.edited.value, share("edited"), 1e-9);
  assert.ok((report?.unchanged.value ?? 1) < 1, "the edit changes something");
});

test("at strength 0 nothing differs; at temperature 0 there is one continuation a prompt", async () => {
  const off = model.withStages(adding("all", 0));
  const { predictions: report, continuations } = await evaluate(off, {
    documents,
    prompts: [[2, 1, 0]],
    scorer: async () => 1,
    temperature: 0,
    newTokens: 3,
  });
  assert.equal([report?.kl_nats.value, report?.agreement.value, report?.perplexity.ratio.value], [0, 1, 1]);
  assert.equal([continuations?.unchanged.value, continuations?.share], [1, null]);
  assert.is(continuations?.pairs[0]?.seed, null);
});

test("invalid options are refused by name", async () => {
  const edited = model.withStages(adding("all"));
  const prompts = [[1]];
  const scorer = () => 0;
  const refused: readonly (readonly [wrong: Promise<unknown>, says: RegExp])[] = [
    [evaluate(model, { documents }), /no interventions to evaluate/],
    [evaluate(edited, {}), /nothing to evaluate on/],
    [evaluate(edited, { documents: [[1], []] }), /every text is shorter than two tokens/],
    [evaluate(edited, { prompts: [], scorer }), /no prompt to continue/],
    [evaluate(edited, { prompts }), /need a scorer/],
    [evaluate(edited, { prompts, scorer, newTokens: 0 }), /newTokens is 0/],
    [evaluate(edited, { prompts, scorer, continuations: 2, temperature: 0 }), /all continuations of a prompt are the/],
    [evaluate(edited, { prompts, scorer, threshold: Number.NaN }), /threshold is NaN/],
    [evaluate(edited, { prompts, scorer: () => Number.NaN, newTokens: 2 }), /The scorer gave NaN for \d/],
  ];
  for (const [wrong, says] of refused) {
    const error = await wrong.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    assert.match(String(error), says);
  }
});

test("a seed for each prompt of a batch", async () => {
  const prompt = [2, 0, 1];
  const settings = { maxNewTokens: 6, temperature: 3 };
  const batch = await model.generateBatch([prompt, prompt, prompt], { ...settings, seeds: [5, 6, 5] });
  assert.equal(
    batch.map(({ seed }) => seed),
    [5, 6, 5],
  );
  for (const { tokens, seed } of batch) {
    assert.equal(tokens, (await model.generate(prompt, { ...settings, seed: seed ?? 0 }).result()).tokens);
  }
  assert.not.equal(batch[0]?.tokens, batch[1]?.tokens);
  for (const [seeds, says] of [[[1], /seeds is of length 1, /] as const, [[1, -1], /seeds\[1\] is -1/] as const]) {
    const error = await model
      .generateBatch([prompt, prompt], { ...settings, seeds })
      .catch((thrown: unknown) => thrown);
    assert.match(String(error), says);
  }
});

test.after(() => model.dispose());

function near(actual: number | undefined, expected: number, tolerance: number): void {
  assert.ok(
    Math.abs((actual ?? Number.NaN) - expected) <= tolerance * Math.max(1, Math.abs(expected)),
    `${actual}, ${expected}`,
  );
}

test.run();
