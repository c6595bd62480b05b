/** `sluice evaluate` */
import { judgeDefaults } from "../../defaults.ts";
import { SluiceError } from "../../errors.ts";
import type {
  ContinuationReport,
  Estimate,
  EvaluateOptions,
  Evaluation,
  Scorer,
  SideBySide,
  UnigramClassifier,
} from "../../index.ts";
import { left, right, table } from "../columns.ts";
import { defineCommand } from "../command.ts";
import type { CommandContext, LoadedModel } from "../context.ts";
import { defined } from "../defined.ts";
import { type Document, readDocuments, readLines } from "../documents.ts";
import { decimal, flag, input, name, needing, oneOf, optional, renamed, wholeNumber, withDefault } from "../options.ts";
import { loadScorer } from "../scorer.ts";
import { classOptions, type LabelledDocuments, readClasses } from "../sentences.ts";
import { checkFinite, checkFiniteOption } from "./check-finite.ts";
import { interventionOptions, reportInterventions } from "./interventions.ts";
import { modelArgument, modelOptions, tokenizerOf, tuneOptions, withEditedModel } from "./model.ts";
import { documentsOf, predictedTexts } from "./predicted-texts.ts";
import { queueOption, withRunner } from "./queue.ts";

const { with: bundles, strength, param, positions } = interventionOptions;
const { textColumn, labelColumn } = classOptions;

export const evaluate = defineCommand({
  name: "evaluate",
  summary: "Measure what interventions cost and do, plain and edited side by side",
  description: [
    "On --texts: perplexity, KL divergence and next-token agreement, with the interventions at every position. On " +
      "--prompts: continuations of both models, drawn with the same seeds in one batch, and judged. Intervals are 95 %, " +
      "by resampling texts or continuations together with their counterparts.",
    "The judge counts tokens: a logistic regression, or the log-odds of each token in either class, fitted on --positive " +
      "and --negative cut into pieces as long as the continuations, with every fifth text held out. Tokens that it has " +
      "not seen weigh 0, and their share is printed. Alternatively --scorer judges, a module whose default export takes a text " +
      "and gives a number.",
  ],
  positionals: { model: modelArgument },
  options: {
    with: bundles,
    strength,
    param,
    positions,
    ...predictedTexts,
    texts: renamed(predictedTexts.texts, "text"),
    prompts: input(optional("FILE", "Prompts to continue: one per line, or .jsonl with text or tokens", name)),
    positive: input(
      optional("FILE", "Texts of the class that the judge looks for: one per line, .jsonl or .csv", name),
    ),
    negative: input(optional("FILE", "Texts of the other class, likewise", name)),
    textColumn: needing(textColumn, "positive"),
    labelColumn: needing(labelColumn, "positive"),
    judge: needing(
      withDefault(
        "KIND",
        "logistic: a regression on token counts; log-odds: the sum of each token's own log-odds",
        oneOf("logistic", "log-odds"),
        judgeDefaults.method,
      ),
      "positive",
    ),
    l2: needing(
      withDefault(
        "W",
        "L2 penalty of the logistic judge: larger values keep its weights smaller",
        decimal({ min: 0, aboveMin: true }),
        judgeDefaults.l2,
      ),
      "positive",
    ),
    scorer: input(
      optional("FILE", "A judge of your own, a module: export default (text) => number, or a promise of one", name),
    ),
    threshold: needing(
      optional(
        "T",
        "Count continuations that score above T (default: 0 for the fitted judge, else none are counted)",
        decimal(),
      ),
      "prompts",
    ),
    samples: needing(
      renamed(withDefault("N", "Continuations of each prompt", wholeNumber(1), 1), "continuations"),
      "prompts",
    ),
    maxNewTokens: needing(
      renamed(withDefault("N", "Tokens per continuation", wholeNumber(1), 24), "newTokens"),
      "prompts",
    ),
    temperature: needing(
      withDefault("T", "1 draws as the model predicts; 0 takes the likeliest token", decimal({ min: 0 }), 1),
      "prompts",
    ),
    seed: needing(
      withDefault("S", "Seed of the first continuation; the others count up", wholeNumber(0), 0),
      "prompts",
    ),
    json: flag("Print one JSON object, with every continuation and its score"),
    checkFinite: checkFiniteOption,
    queue: queueOption,
    ...modelOptions,
    ...tuneOptions,
  },
  examples: [
    {
      line: "evaluate weights/gpt2-stories --with calm.safetensors --texts test/data/tales.jsonl --max-tokens 120 --max-texts 40",
      shows: "What does an edit cost on tales?",
    },
    {
      line:
        "evaluate weights/gpt2-stories --with calm.safetensors --prompts openings.txt --samples 40 " +
        "--positive test/data/plays.jsonl --negative test/data/tales.jsonl",
      shows: "Does it make the model sound less like plays?",
    },
  ],
  check: checkChoice,
  async run(values, context) {
    const { library, progress, signal, stdout } = context;
    const texts = values.texts === undefined ? undefined : await readDocuments(values.texts, signal);
    const prompts = values.prompts === undefined ? undefined : await readLines(values.prompts, "prompt", signal);
    const { positive, negative } = values;
    const classes =
      positive === undefined || negative === undefined
        ? undefined
        : await readClasses({ ...values, positive, negative }, context);
    const own = values.scorer === undefined ? undefined : await loadScorer(values.scorer);
    // Kernels that were chosen by measurement here are not those of other machines.
    const noTune = values.noTune || values.queue !== undefined;
    const choice = { ...values, noTune, promptLength: undefined };
    const report = await withEditedModel(choice, context, async (model, _, composed) => {
      const documents = texts && documentsOf(model, texts.slice(0, values.maxTexts), values, context);
      await checkFinite(values.checkFinite, model, [...(documents ?? []), ...(prompts ?? [])], undefined, context);
      const classifier = classes && (await fitJudge(model, classes, values, context));
      const judge: Scorer | undefined = classifier ? ({ tokens }) => classifier.score(tokens) : own;
      const threshold = values.threshold ?? (classifier ? 0 : undefined);
      const measure = (runner: Pick<EvaluateOptions, "runner">) =>
        library.evaluate(model, {
          ...runner,
          ...defined({ documents, prompts, threshold, scorer: judge }),
          continuations: values.samples,
          newTokens: values.maxNewTokens,
          temperature: values.temperature,
          seed: values.seed,
          signal,
          onProgress: (phase, done, total) =>
            progress.count(phase, { done, total, unit: phase === "predicting" ? "tokens" : "continuations" }),
        });
      const evaluation = await progress.during("evaluating", withRunner(choice, context, measure));
      const judged = classifier && judgeOf(classifier, evaluation.continuations);
      const interventions = reportInterventions(composed, model.stages);
      return { evaluation, judge: judged, interventions, device: model.device.name };
    });
    const { evaluation, judge, interventions, device } = report;
    for (const id of evaluation.predictions?.widened ?? []) {
      context.note(
        `stage "${id}" has positions that depend on the prompt's length; texts have no prompt, so on --texts it acted at every token`,
      );
    }
    if (values.json) {
      const run = context.record(device);
      stdout.write(`${JSON.stringify({ ...evaluation, ...defined({ judge }), interventions, run })}\n`);
      return;
    }
    stdout.write([predictionTable(evaluation), continuationTable(evaluation.continuations, judge)].join(""));
  },
});

interface Choice {
  readonly with: readonly unknown[];
  readonly texts: string | undefined;
  readonly prompts: string | undefined;
  readonly positive: string | undefined;
  readonly negative: string | undefined;
  readonly scorer: string | undefined;
}

/** @throws SluiceError `usage` for options that are missing or conflict, before anything is read */
function checkChoice({ with: bundles, texts, prompts, positive, negative, scorer }: Choice): void {
  const refuse = (fault: string, hint: string): SluiceError => new SluiceError("usage", fault, { hint });
  if (bundles.length === 0) throw refuse("--with BUNDLE is missing", "Name the interventions to evaluate.");
  if (texts === undefined && prompts === undefined) {
    throw refuse(
      "there is nothing to evaluate on",
      "Give --texts FILE to predict, --prompts FILE to continue, or both.",
    );
  }
  if ((positive === undefined) !== (negative === undefined)) {
    throw refuse(
      `${positive === undefined ? "--positive" : "--negative"} FILE is missing`,
      "The judge is fitted on texts of both classes.",
    );
  }
  if (scorer !== undefined && positive !== undefined) {
    throw refuse("two judges were given: --scorer, and --positive and --negative", "Leave one of them out.");
  }
  const judged = scorer !== undefined || positive !== undefined;
  if (prompts !== undefined && !judged) {
    throw refuse("there is no judge of the continuations", "Give --positive and --negative, or --scorer.");
  }
  if (prompts === undefined && judged) throw refuse("there is nothing to judge", "Give --prompts FILE to continue.");
}

async function fitJudge(
  model: LoadedModel,
  classes: LabelledDocuments<Document>,
  choice: { readonly maxNewTokens: number; readonly judge: "logistic" | "log-odds"; readonly l2: number },
  { library, progress }: CommandContext,
): Promise<UnigramClassifier> {
  // Continuations hold no special tokens.
  const idsOf = (document: Document): readonly number[] =>
    typeof document === "string" ? tokenizerOf(model).encode(document, { addSpecialTokens: false }) : document;
  const work = library.fitUnigramClassifier(
    { positive: classes.positive.map(idsOf), negative: classes.negative.map(idsOf) },
    { pieceTokens: choice.maxNewTokens, method: choice.judge, l2: choice.l2 },
  );
  return progress.during("fitting the judge", work);
}

/** The fitted judge, and the shares of the continuations' tokens that it has not seen. */
interface Judge {
  readonly accuracy: number;
  readonly fitted: number;
  readonly held_out: number;
  readonly unknown: { readonly plain: number; readonly edited: number };
}

function judgeOf({ accuracy, fitted, heldOut, weights }: UnigramClassifier, report: ContinuationReport | null): Judge {
  const unknown = (side: "plain" | "edited"): number => {
    const tokens = (report?.pairs ?? []).flatMap((pair) => pair[side].tokens);
    return tokens.filter((token) => !weights.has(token)).length / tokens.length;
  };
  return { accuracy, fitted, held_out: heldOut, unknown: { plain: unknown("plain"), edited: unknown("edited") } };
}

function predictionTable({ predictions }: Evaluation): string {
  if (!predictions) return "";
  const { texts, tokens, perplexity, kl_nats, agreement } = predictions;
  const rows = [
    ["perplexity, plain", ...cells(perplexity.plain, fixed(3))],
    ["perplexity, edited", ...cells(perplexity.edited, fixed(3))],
    ["edited / plain", ...cells(perplexity.ratio, fixed(4))],
    ["KL(plain ‖ edited), nats per token", ...cells(kl_nats, fixed(4))],
    ["same likeliest token", ...cells(agreement, percent)],
  ];
  return `${tokens} predicted tokens of ${texts} ${texts === 1 ? "text" : "texts"}\n${estimates(rows)}`;
}

function continuationTable(report: ContinuationReport | null, judge: Judge | undefined): string {
  if (!report) return "";
  const { pairs, mean, share, unchanged } = report;
  const sides = (what: string, { plain, edited, difference }: SideBySide, show: (value: number) => string) => [
    [`${what}, plain`, ...cells(plain, show)],
    [`${what}, edited`, ...cells(edited, show)],
    ["edited − plain", ...cells(difference, show)],
  ];
  const rows = [
    ...(share ? sides("share above the threshold", share, fixed(4)) : []),
    ...sides("mean score", mean, fixed(3)),
    ["unchanged", ...cells(unchanged, percent)],
  ];
  const held = judge
    ? `The judge is right on ${percent(judge.accuracy)} of ${judge.held_out} held-out pieces (fitted on ${judge.fitted}); ` +
      `unknown to it: ${percent(judge.unknown.plain)} of the plain model's tokens, ${percent(judge.unknown.edited)} of the ` +
      "edited one's.\n"
    : "";
  return `${pairs.length} continuations of either model\n${estimates(rows)}${held}`;
}

function estimates(rows: readonly (readonly string[])[]): string {
  return table([left(""), right("value"), right("95 % from"), right("to")], rows);
}

function cells({ value, low, high }: Estimate, show: (value: number) => string): readonly string[] {
  return [value, low, high].map((number) => (number === null ? "–" : show(number)));
}

function fixed(digits: number): (value: number) => string {
  return (value) => value.toFixed(digits).replace("-", "−");
}

function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`;
}
