/** `/v1/completions`: texts and token ids are continued. */
import type { GenerateOptions, GenerateResult, TokenLogprobs } from "../index.ts";
import { finishReason, RequestEnd, runAll, usageOf } from "./answering.ts";
import type { RunningChoice } from "./engine.ts";
import { type CompletionFields, completionFields, readFields } from "./fields.ts";
import { readInterventions } from "./foreign-steering.ts";
import { characters, completionLogprobs, Offsets, textLogprobs } from "./logprob-shapes.ts";
import { optionsFor } from "./options.ts";
import { Problem } from "./problem.ts";
import { listOfPrompts, type Prompt, placedPrompt, readPrompts } from "./prompts.ts";
import type { Service } from "./service.ts";
import { answerStream } from "./streaming.ts";

/** New tokens unless a request says: OpenAI's default. */
const DEFAULT_TOKENS = 16;

export async function complete(service: Service, given: unknown, client: AbortSignal): Promise<Response> {
  const { engine, metrics } = service;
  const { tokenizer } = engine.model;
  const { body: rest, interventions } = readInterventions(given, engine.bundles);
  const body = readFields(completionFields, "completions", rest);
  const model = service.checkModel(body.model);
  const { n = 1, best_of: drawn = n, logprobs, echo = false, max_tokens = DEFAULT_TOKENS } = body;
  checkCounts(body, service);
  const prompts = readPrompts(body, service);
  const promptOf = (choice: number, perPrompt = n): Prompt => prompts[Math.floor(choice / perPrompt)] as Prompt;
  const end = new RequestEnd(client, service.limits.answerMs);
  const recorded = logprobs ?? (drawn > n ? 0 : undefined);
  const choices = end.begin(() =>
    prompts.flatMap(({ tokens }, p) =>
      Array.from({ length: drawn }, (_, i): RunningChoice => {
        if (max_tokens === 0) return nothingNew(tokens, tokenizer !== null);
        const options: GenerateOptions = {
          ...optionsFor(body, engine.model, p * drawn + i),
          maxNewTokens: max_tokens,
          ...(recorded !== undefined && { logprobs: true, topLogprobs: recorded }),
          signal: end.signal,
        };
        return engine.generate(tokens, options, interventions);
      }),
    ),
  );
  /** Of prompts that are given back with their log probabilities. */
  const scored = async (): Promise<readonly (readonly TokenLogprobs[])[]> => {
    if (!echo || logprobs === undefined) return [];
    const scoring = { interventions, topLogprobs: logprobs, signal: end.signal };
    return end.await(
      engine.score(
        prompts.map(({ tokens }) => tokens),
        scoring,
      ),
    );
  };
  const head = {
    id: `cmpl-${crypto.randomUUID()}`,
    object: "text_completion",
    created: Math.floor(Date.now() / 1000),
    model,
  };
  const isStop = (token: number): boolean => service.isStopToken(token) || (body.stop_token_ids ?? []).includes(token);

  if (body.stream) {
    return answerStream(end, service.limits, async (events) => {
      const scores = await scored();
      const places = choices.map((_, i) => {
        const { tokens, echoed } = promptOf(i);
        return new Offsets(tokenizer, tokens, characters(echoed));
      });
      const chunk = (index: number, text: string, rest: object = {}) => {
        const choice = { index, text, logprobs: null, finish_reason: null, ...rest };
        events.send({ ...head, choices: [choice], ...(body.stream_options?.include_usage && { usage: null }) });
      };
      for (const index of echo ? choices.keys() : []) {
        const prompt = promptOf(index);
        const own = scores[Math.floor(index / n)];
        chunk(index, prompt.echoed, {
          ...(own && { logprobs: completionLogprobs(tokenizer, placedPrompt(tokenizer, prompt, own), logprobs ?? 0) }),
          ...(body.return_token_ids && { prompt_token_ids: prompt.tokens, token_ids: [] }),
        });
      }
      const results = await runAll(choices, metrics, end, {
        onToken(index, { token, text, logprobs: drawn }) {
          const offset = (places[index] as Offsets).next(token);
          const shaped =
            drawn && !isStop(token) ? completionLogprobs(tokenizer, [{ ...drawn, offset }], logprobs ?? 0) : null;
          const ids = body.return_token_ids && { token_ids: [token] };
          if ((text ?? "") !== "" || shaped || ids) chunk(index, text ?? "", { logprobs: shaped, ...ids });
        },
        onEnd: (index, result) => chunk(index, "", { finish_reason: finishReason(result) }),
      });
      if (body.stream_options?.include_usage) events.send({ ...head, choices: [], usage: usageOf(results, n) });
    });
  }
  const scores = await scored();
  const results = await runAll(choices, metrics, end).finally(() => end.end());
  const answered = bestOf(results, drawn, n).map((result, index) => {
    const prompt = promptOf(index);
    const text = prompt.echoed + (result.text ?? result.tokens.join(" "));
    const shaped = (): object => {
      const places = new Offsets(tokenizer, prompt.tokens, characters(prompt.echoed));
      const own = scores[Math.floor(index / n)];
      const before = own ? placedPrompt(tokenizer, prompt, own) : [];
      const after = textLogprobs(result, isStop).map((each) => ({ ...each, offset: places.next(each.token) }));
      return completionLogprobs(tokenizer, [...before, ...after], logprobs ?? 0);
    };
    const ids = body.return_token_ids && { token_ids: result.tokens, prompt_token_ids: result.prompt_tokens };
    const finish_reason = finishReason(result);
    return { index, text, logprobs: logprobs === undefined ? null : shaped(), finish_reason, ...ids };
  });
  return Response.json({ ...head, choices: answered, usage: usageOf(results, drawn) });
}

/** @throws Problem 400 for more choices than there may be, or fewer than are to be chosen from */
function checkCounts({ prompt, n = 1, best_of = n, stream }: CompletionFields, service: Service): void {
  const prompts = listOfPrompts(prompt).length;
  service.checkChoices(
    prompts * best_of,
    prompts === 1 ? `${best_of} choices` : `${prompts} prompts of ${best_of} choices each`,
    best_of > n ? "best_of" : "n",
  );
  if (best_of < n) throw new Problem(400, `best_of must be at least n, which is ${n}`, { param: "best_of" });
  if (best_of > n && stream) {
    throw new Problem(400, "The best of several choices is known at their end: best_of has no streams", {
      param: "best_of",
    });
  }
}

/** A choice of no tokens, for requests that only ask about their prompts. */
function nothingNew(tokens: readonly number[], hasText: boolean): RunningChoice {
  const timings = { compile_ms: 0, prefill_ms: 0, decode_ms: 0, prefill_tokens_per_s: 0, decode_tokens_per_s: 0 };
  const result: GenerateResult = {
    prompt_tokens: tokens,
    reused_tokens: 0,
    tokens: [],
    text: hasText ? "" : null,
    finish: "length",
    changes: [],
    seed: null,
    timings: { ...timings, time_to_first_token_ms: 0 },
  };
  return {
    result: async () => result,
    async *[Symbol.asyncIterator]() {},
  };
}

/** Of each prompt's choices those whose tokens are the likeliest in the mean, the best first; all as they are if all are wanted. */
function bestOf(results: readonly GenerateResult[], drawn: number, n: number): readonly GenerateResult[] {
  if (drawn === n) return results;
  const meanOf = ({ logprobs = [] }: GenerateResult): number =>
    logprobs.reduce((sum, { logprob }) => sum + logprob, 0) / Math.max(1, logprobs.length);
  return Array.from({ length: results.length / drawn }, (_, prompt) => {
    const own = results.slice(prompt * drawn, (prompt + 1) * drawn);
    return own.sort((a, b) => meanOf(b) - meanOf(a)).slice(0, n);
  }).flat();
}
