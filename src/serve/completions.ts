/** `/v1/completions`: texts and token ids are continued. */
import type { GenerateOptions } from "../index.ts";
import { finishReason, RequestEnd, runAll, usageOf } from "./answering.ts";
import { completionFields, readFields } from "./fields.ts";
import { readInterventions } from "./foreign-steering.ts";
import { completionLogprobs, textLogprobs } from "./logprob-shapes.ts";
import { optionsFor } from "./options.ts";
import { Problem } from "./problem.ts";
import type { Service } from "./service.ts";
import { answerStream } from "./streaming.ts";

/** New tokens unless a request says: OpenAI's default. */
const DEFAULT_TOKENS = 16;

export async function complete(service: Service, given: unknown, client: AbortSignal): Promise<Response> {
  const { engine, metrics } = service;
  const { body: rest, interventions } = readInterventions(given, engine.bundles);
  const body = readFields(completionFields, "completions", rest);
  const model = service.checkModel(body.model);
  const { prompt, n = 1, logprobs, echo = false } = body;
  const prompts =
    typeof prompt === "string" || typeof prompt[0] === "number"
      ? [prompt as string | readonly number[]]
      : (prompt as readonly (string | readonly number[])[]);
  if (prompts.length * n > service.limits.choices) {
    throw new Problem(400, `${prompts.length} prompts of ${n} choices each are more than ${service.limits.choices}`, {
      param: "n",
    });
  }
  if (echo && logprobs !== undefined) {
    throw new Problem(400, "echo with logprobs is not supported: prompts have no log probabilities here", {
      param: "echo",
    });
  }
  const end = new RequestEnd(client, service.limits.answerMs);
  const choices = end.begin(() =>
    prompts.flatMap((each, p) =>
      Array.from({ length: n }, (_, i) => {
        const options: GenerateOptions = {
          ...optionsFor(body, engine.model, p * n + i),
          maxNewTokens: body.max_tokens ?? DEFAULT_TOKENS,
          ...(logprobs !== undefined && { logprobs: true, topLogprobs: logprobs }),
          signal: end.signal,
        };
        return engine.generate(each, options, interventions);
      }),
    ),
  );
  const { tokenizer } = engine.model;
  const echoed = prompts.map((each) =>
    !echo ? "" : typeof each === "string" ? each : (tokenizer?.decode(each) ?? ""),
  );
  const head = {
    id: `cmpl-${crypto.randomUUID()}`,
    object: "text_completion",
    created: Math.floor(Date.now() / 1000),
    model,
  };
  const isStop = (token: number): boolean => service.isStopToken(token) || (body.stop_token_ids ?? []).includes(token);

  if (body.stream) {
    const offsets = choices.map((_, i) => (echoed[Math.floor(i / n)] ?? "").length);
    return answerStream(end, service.limits, async (events) => {
      const chunk = (index: number, text: string, rest: object = {}) => {
        const choice = { index, text, logprobs: null, finish_reason: null, ...rest };
        events.send({ ...head, choices: [choice], ...(body.stream_options?.include_usage && { usage: null }) });
      };
      const results = await runAll(choices, metrics, end, (index, token) => {
        const begin = offsets[index] as number;
        const isFirst = !events.hasBegun(index);
        const text = (isFirst ? (echoed[Math.floor(index / n)] ?? "") : "") + (token.text ?? "");
        const scored =
          token.logprobs && !isStop(token.token) ? completionLogprobs([token.logprobs], logprobs ?? 0, begin) : null;
        if (token.logprobs) offsets[index] = begin + (token.logprobs.text ?? "").length;
        const ids = body.return_token_ids && { token_ids: [token.token] };
        if (text !== "" || scored || ids) chunk(index, text, { logprobs: scored, ...ids });
      });
      results.forEach((result, index) => chunk(index, "", { finish_reason: finishReason(result) }));
      if (body.stream_options?.include_usage) events.send({ ...head, choices: [], usage: usageOf(results, n) });
    });
  }
  const results = await runAll(choices, metrics, end).finally(() => end.end());
  const answered = results.map((result, index) => {
    const before = echoed[Math.floor(index / n)] ?? "";
    const text = before + (result.text ?? result.tokens.join(" "));
    const scored =
      logprobs === undefined ? null : completionLogprobs(textLogprobs(result, isStop), logprobs, before.length);
    const ids = body.return_token_ids && { token_ids: result.tokens, prompt_token_ids: result.prompt_tokens };
    return { index, text, logprobs: scored, finish_reason: finishReason(result), ...ids };
  });
  return Response.json({ ...head, choices: answered, usage: usageOf(results, n) });
}
