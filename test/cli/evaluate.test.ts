/** evaluate: calls of the library, judges from modules, and tables. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Library } from "../../src/cli/context.ts";
import { fitUnigramClassifier } from "../../src/evaluate/unigram-classifier.ts";
import type { EvaluateOptions, Evaluation, Scorer } from "../../src/index.ts";
import { fakeLibrary, fakeTokenizer, run } from "./fake-world.ts";

const folder = await mkdtemp(join(tmpdir(), "sluice-test-"));
test.after(() => rm(folder, { recursive: true }));

async function file(name: string, content: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

const exact = (value: number) => ({ value, low: value - 0.25, high: value + 0.25 });
const sides = { plain: exact(0.5), edited: exact(0.25), difference: exact(-0.25) };

/** A library that asks the scorer about two texts, and answers with the same numbers each time. */
function playing(
  asked: EvaluateOptions[],
  tokenizer: ReturnType<typeof fakeTokenizer> | null = fakeTokenizer(),
): Library {
  return {
    ...fakeLibrary({ tokenizer }),
    fitUnigramClassifier: async (texts, options) => fitUnigramClassifier(texts, options),
    async evaluate(_, options): Promise<Evaluation> {
      asked.push(options);
      const said = async (text: string) => {
        const tokens = Array.from(text, (character) => character.codePointAt(0) as number);
        const known = tokenizer ? text : null;
        return { tokens, text: known, score: await (options.scorer as Scorer)({ tokens, text: known }) };
      };
      return {
        predictions: options.documents
          ? {
              texts: 1,
              tokens: 9,
              perplexity: { plain: exact(20), edited: { value: 22, low: null, high: null }, ratio: exact(1.1) },
              kl_nats: exact(0.5),
              agreement: exact(0.75),
              widened: ["calm"],
            }
          : null,
        continuations: options.prompts
          ? {
              mean: sides,
              share: options.threshold === undefined ? null : sides,
              unchanged: exact(0.5),
              pairs: [{ prompt: 0, seed: 7, plain: await said("zza"), edited: await said("qé") }],
            }
          : null,
      };
    },
  };
}

const prompts = await file("prompts.txt", "The\n\nAnd\n");
const positive = await file("positive.txt", "zz\nza\nzb\nzc\nzd\n");
const negative = await file("negative.txt", "qq\nqa\nqb\nqc\nqd\n");

test("texts: options reach the library, and a table shows numbers with their intervals", async () => {
  const asked: EvaluateOptions[] = [];
  const text = await file("text.txt", "abc");
  const line = ["evaluate", "M", "--with", "B", "--texts", text, "--prepend-bos", "--max-tokens", "2"];
  const { code, stdout, stderr } = await run(line, { library: playing(asked) });
  assert.is(code, 0, stderr);
  assert.equal(asked[0]?.documents, [[1, 97, 98]]);
  assert.is(asked[0]?.prompts, undefined);
  assert.match(stdout, /^9 predicted tokens of 1 text\n/);
  assert.match(stdout, /^ {2}perplexity, plain +20\.000 +19\.750 +20\.250$/m);
  assert.match(stdout, /^ {2}perplexity, edited +22\.000 +– +–$/m);
  assert.match(stdout, /^ {2}same likeliest token +75\.00 % +50\.00 % +100\.00 %$/m);
  assert.match(stderr, /stage "calm" .*texts have no prompt, so on --texts it acted at every token/);
});

test("continuations: the fitted judge, its threshold, and what it does not know", async () => {
  const asked: EvaluateOptions[] = [];
  const line =
    `evaluate M --with B --prompts ${prompts} --positive ${positive} --negative ${negative} --continuations 3 ` +
    "--max-new-tokens 2 --temperature 0.5 --seed 9";
  const { code, stdout, stderr } = await run(line.split(" "), { library: playing(asked) });
  assert.is(code, 0, stderr);
  const { continuations, newTokens, temperature, seed, threshold } = asked[0] ?? {};
  assert.equal(asked[0]?.prompts, ["The", "And"]);
  assert.equal([continuations, newTokens, temperature, seed, threshold], [3, 2, 0.5, 9, 0]);
  assert.match(stdout, /^1 continuations of either model\n/);
  assert.match(stdout, /^ {2}share above the threshold, edited +0\.2500 +0\.0000 +0\.5000$/m);
  assert.match(stdout, /^ {2}edited − plain +−0\.2500 +−0\.5000 +0\.0000$/m);
  assert.match(stdout, /right on 100\.00 % of \d+ held-out pieces/);
  assert.match(stdout, /unknown to it: 0\.00 % of the plain model's tokens, 50\.00 % of the edited one's/);

  const log = await run([...line.split(" "), "--judge", "log-odds", "--threshold", "1", "--json"], {
    library: playing(asked),
  });
  const { judge, interventions, continuations: report } = JSON.parse(log.stdout);
  assert.is(asked[1]?.threshold, 1);
  assert.equal([judge.accuracy, judge.unknown.edited], [1, 0.5]);
  assert.ok(report.pairs[0].plain.score > 0 && report.pairs[0].edited.score < 0);
  assert.is(interventions.bundles[0].file, "B");
});

test("a scorer of one's own reads texts, at once or later, and counts nothing without a threshold", async () => {
  const asked: EvaluateOptions[] = [];
  const scorer = await file("length.mjs", "export default async (text) => text.length;");
  const line = ["evaluate", "M", "--with", "B", "--prompts", prompts, "--scorer", scorer];
  const { stdout } = await run([...line, "--json"], { library: playing(asked) });
  const { continuations, judge } = JSON.parse(stdout);
  assert.equal([continuations.pairs[0].plain.score, continuations.pairs[0].edited.score], [3, 2]);
  assert.equal([continuations.share, judge], [null, undefined]);
  assert.is(asked[0]?.threshold, undefined);

  const broken: readonly (readonly [content: string, says: RegExp])[] = [
    ["export const x = 1;", /has no default export that is a function[\s\S]*Write: export default/],
    ["export default () => { throw new Error('no idea'); };", /fails at "zza": no idea/],
    ["throw new Error('at once');", /fails when it is imported: at once/],
  ];
  for (const [i, [content, says]] of broken.entries()) {
    const module = await file(`broken${i}.mjs`, content);
    const { code, stderr } = await run(["evaluate", "M", "--with", "B", "--prompts", prompts, "--scorer", module], {
      library: playing([]),
    });
    assert.is(code, 1);
    assert.match(stderr, says);
  }
  const { stderr } = await run(line, { library: playing([], null) });
  assert.match(stderr, /no tokenizer, so there is no text to score/);
  const { stderr: gone } = await run([...line.slice(0, -1), "nowhere.mjs"], { library: playing([]) });
  assert.match(gone, /--scorer: .*nowhere\.mjs does not exist/);
});

test("what does not go together is misuse, before anything is read", async () => {
  const refused: readonly (readonly [args: string, says: RegExp])[] = [
    ["--texts F", /--with BUNDLE is missing/],
    ["--with B", /nothing to evaluate on/],
    ["--with B --prompts F", /there is no judge of the continuations/],
    ["--with B --prompts F --positive F", /--negative FILE is missing/],
    ["--with B --prompts F --negative F", /--positive FILE is missing/],
    ["--with B --prompts F --scorer S --positive F --negative F", /two judges were given/],
    ["--with B --texts F --scorer S", /there is nothing to judge/],
    ["--with B --prompts F --positive F --negative F --judge naive", /--judge takes logistic or log-odds/],
    [
      "--with B --texts F --judge log-odds",
      /--judge does nothing without --positive\n {2}Leave --judge out, or give --positive too/,
    ],
    ["--with B --prompts F --scorer F --max-texts 3", /--max-texts does nothing without --texts/],
  ];
  for (const [args, says] of refused) {
    const { code, stderr } = await run(["evaluate", "M", ...args.split(" ")]);
    assert.is(code, 2, args);
    assert.match(stderr, says);
  }
});

test.run();
