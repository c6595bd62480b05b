/** `/v1/chat/completions`: a conversation gets its next answer, through the model's chat template. */
import type { ChatMessage, GenerateOptions } from "../index.ts";
import { finishReason, RequestEnd, runAll, usageOf } from "./answering.ts";
import { type ChatFields, chatFields, readFields } from "./fields.ts";
import { readInterventions } from "./foreign-steering.ts";
import { chatLogprob, textLogprobs } from "./logprob-shapes.ts";
import { messagesOf } from "./messages.ts";
import { optionsFor } from "./options.ts";
import { Problem } from "./problem.ts";
import type { Service } from "./service.ts";
import { answerStream } from "./streaming.ts";
import { AnswerStream, parseAnswer, type Tool, type ToolCall } from "./tool-calls.ts";
import { checkSchemas, forcedCalls, readToolChoice, readTools } from "./tool-forms.ts";

export async function chat(service: Service, given: unknown, client: AbortSignal): Promise<Response> {
  const { engine, metrics } = service;
  const { body: rest, interventions } = readInterventions(given, engine.bundles);
  const body = readFields(chatFields, "chat/completions", rest);
  const model = service.checkModel(body.model);
  if (body.top_logprobs !== undefined && !body.logprobs) {
    throw new Problem(400, "top_logprobs needs logprobs: true", { param: "top_logprobs" });
  }
  service.checkChoices(body.n ?? 1, `${body.n} choices`, "n");
  const { tokenizer } = service;
  const wish = toolWish(service, body);
  const text = tokenizer.applyChatTemplate(messagesOf(body.messages) as readonly ChatMessage[], {
    addGenerationPrompt: true,
    ...(wish.shown.length > 0 && { tools: wish.shown }),
    ...(body.chat_template_kwargs && { variables: body.chat_template_kwargs }),
  });
  // The template has put BOS and the like into the text already.
  const tokens = service.encode(text, "The conversation", "messages");
  const end = new RequestEnd(client, service.limits.answerMs);
  const { n = 1, logprobs = false } = body;
  const mostCalls = body.parallel_tool_calls === false ? 1 : Number.POSITIVE_INFINITY;
  const stopTokens = service.endOfTurn;
  const choices = end.begin(() =>
    Array.from({ length: n }, (_, i) => {
      const options = optionsFor(body, engine.model, i);
      const wanted: GenerateOptions = {
        ...options,
        ...(wish.format && { responseFormat: wish.format }),
        stopTokens: [...(options.stopTokens ?? []), ...stopTokens],
        maxNewTokens: body.max_completion_tokens ?? body.max_tokens ?? engine.context + 1 - tokens.length,
        ...(logprobs && { logprobs, topLogprobs: body.top_logprobs ?? 0 }),
        signal: end.signal,
      };
      return engine.generate(tokens, wanted, interventions);
    }),
  );
  const head = { id: `chatcmpl-${crypto.randomUUID()}`, created: Math.floor(Date.now() / 1000), model };
  const isStop = (token: number): boolean => service.isStopToken(token);

  if (body.stream) {
    const answers = choices.map(() => new AnswerStream(wish.tools));
    const calls = choices.map(() => 0);
    return answerStream(end, service.limits, async (events) => {
      const chunk = (index: number, delta: object, rest: object = {}) => {
        const choice = { index, delta, logprobs: null, finish_reason: null, ...rest };
        const usage = body.stream_options?.include_usage && { usage: null };
        events.send({ ...head, object: "chat.completion.chunk", choices: [choice], ...usage });
      };
      const tell = (
        index: number,
        answer: { readonly content: string; readonly calls: readonly ToolCall[] },
        scored: object | null,
        ids?: { readonly token_ids: readonly number[] },
      ) => {
        if (answer.content !== "" || scored || ids) {
          chunk(index, { content: answer.content }, { logprobs: scored, ...ids });
        }
        for (const call of answer.calls) {
          const place = calls[index] as number;
          if (place >= mostCalls) break;
          calls[index] = place + 1;
          chunk(index, { tool_calls: [{ index: place, ...shapedCall(call) }] });
        }
      };
      const results = await runAll(choices, metrics, end, {
        onToken(index, { token, text: piece, logprobs: scores }) {
          if (!events.hasBegun(index)) chunk(index, { role: "assistant", content: "" });
          const scored = scores && !isStop(token) ? { content: [chatLogprob(tokenizer, scores)], refusal: null } : null;
          const answer = answers[index] as AnswerStream;
          const parsed = wish.tools.length > 0 ? answer.push(piece ?? "") : { content: piece ?? "", calls: [] };
          tell(index, parsed, scored, body.return_token_ids ? { token_ids: [token] } : undefined);
        },
        onEnd(index, result) {
          if (wish.tools.length > 0) tell(index, (answers[index] as AnswerStream).end(), null);
          chunk(index, {}, { finish_reason: (calls[index] as number) > 0 ? "tool_calls" : finishReason(result) });
        },
      });
      if (body.stream_options?.include_usage) {
        events.send({ ...head, object: "chat.completion.chunk", choices: [], usage: usageOf(results, n) });
      }
    });
  }
  const results = await runAll(choices, metrics, end).finally(() => end.end());
  const answered = results.map((result, index) => {
    const { content, calls } =
      wish.tools.length > 0 ? parseAnswer(result.text ?? "", wish.tools) : { content: result.text ?? "", calls: [] };
    const scores = logprobs
      ? { content: textLogprobs(result, isStop).map((each) => chatLogprob(tokenizer, each)), refusal: null }
      : null;
    const message = {
      role: "assistant",
      content: content === "" && calls.length > 0 ? null : content,
      refusal: null,
      ...(calls.length > 0 && { tool_calls: calls.slice(0, mostCalls).map(shapedCall) }),
    };
    const finish_reason = calls.length > 0 ? "tool_calls" : finishReason(result);
    return {
      index,
      message,
      logprobs: scores,
      finish_reason,
      ...(body.return_token_ids && { token_ids: result.tokens }),
    };
  });
  const prompted = body.return_token_ids && { prompt_token_ids: tokens };
  return Response.json({
    ...head,
    object: "chat.completion",
    choices: answered,
    usage: usageOf(results, n),
    ...prompted,
  });
}

function shapedCall({ name, arguments: given }: ToolCall): object {
  return {
    id: `call_${crypto.randomUUID().replaceAll("-", "").slice(0, 24)}`,
    type: "function",
    function: { name, arguments: given },
  };
}

/** What a request wants of tools. */
interface ToolWish {
  /** Those that an answer may call. */
  readonly tools: readonly Tool[];
  /** As the template is shown them. */
  readonly shown: readonly Readonly<Record<string, unknown>>[];
  /** What the answer must be, if it must call one. */
  readonly format?: NonNullable<GenerateOptions["responseFormat"]>;
}

function toolWish(service: Service, { tools: given = [], tool_choice, response_format }: ChatFields): ToolWish {
  const tools = readTools(given);
  const refuse = (message: string, param = "tool_choice"): never => {
    throw new Problem(400, message, { param });
  };
  const forms =
    'none, auto, required, { type: "function", function: { name } } or allowed_tools, with names of the tools';
  const { mode, names } = readToolChoice(tool_choice) ?? refuse(`tool_choice must be ${forms}`);
  if (tools.length === 0) {
    if (mode === "required" || names) refuse("tool_choice needs tools");
    return { tools: [], shown: [] };
  }
  if (mode === "none") return { tools: [], shown: [] };
  if (names?.some((name) => !tools.some((tool) => tool.name === name))) refuse(`tool_choice must be ${forms}`);
  const form = service.toolForm ?? refuse("The model's chat template does not show tools", "tools");
  const wanted = names ? tools.filter(({ name }) => names.includes(name)) : tools;
  if (mode === "auto") return { tools: wanted, shown: given };
  if (response_format && response_format.type !== "text")
    refuse("A required tool call and a response_format exclude each other");
  checkSchemas(wanted);
  return { tools: wanted, shown: given, format: { type: "framed_json", framed_json: forcedCalls(form, wanted) } };
}
