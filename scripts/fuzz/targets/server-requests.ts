/** Requests to `sluice serve`: a right answer, or an error in OpenAI's shape whose status blames the client. */
import { readConfig } from "../../../src/architectures/read-config.ts";
import { writeBundle } from "../../../src/interventions/bundle.ts";
import { bundleOf, filled } from "../../../test/interventions/model-configs.ts";
import { type ImaginedServer, imaginedServer } from "../imagined-server.ts";
import { picked } from "../json-edits.ts";
import { drawnSchema } from "../json-schemas.ts";
import { Broken, type Files, folderOf, type Random, Refusal, type Target } from "../target.ts";
import { withTemplate } from "./text-files.ts";

// Qwen's template shows tools.
const model = withTemplate(
  folderOf("weights/stories260K", (name) => name.endsWith(".json")),
  "qwen2.5",
);
const config = readConfig(JSON.parse(new TextDecoder().decode(model.get("config.json"))), "config.json");
const push = bundleOf(config, [{ id: "push", kind: "affine", method: "addition", site: "resid_post", layers: [1] }], {
  "push.1.direction": filled([config.hidden_size]),
});
const cut = bundleOf(
  config,
  [{ id: "cut", kind: "edge_mask", destinations: "qkv_groups", edges: [["blocks.3.mlp", "logits", 0]] }],
  {},
);
const bundles = new Map([
  ["push", push],
  ["cut", cut],
]);

/** How a request is written in a file. */
interface Head {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

function request(method: string, path: string, body?: object | Uint8Array<ArrayBuffer>): Files {
  const isBytes = body instanceof Uint8Array;
  const type = isBytes ? "application/octet-stream" : "application/json";
  const head: Head = { method, path, headers: body ? { "Content-Type": type } : {} };
  const encoder = new TextEncoder();
  return new Map([
    ["head.json", encoder.encode(JSON.stringify(head))],
    ...(body ? [["body", isBytes ? body : encoder.encode(JSON.stringify(body))] as const] : []),
  ]);
}

const tool = {
  type: "function",
  function: {
    name: "get_weather",
    description: "Weather",
    parameters: { type: "object", properties: { city: { type: "string" }, days: { type: "integer", maximum: 9 } } },
  },
};
const call = { id: "call_1", type: "function", function: { name: "get_weather", arguments: '{"city":"Bern"}' } };
const messages = [
  { role: "system", content: "Be brief." },
  { role: "user", content: [{ type: "text", text: "Once upon" }] },
  { role: "assistant", content: null, tool_calls: [call] },
  { role: "tool", tool_call_id: "call_1", content: "rain" },
  { role: "user", content: "a time" },
];
const schema = {
  type: "object",
  properties: { a: { type: "string", pattern: "^[a-z]{1,3}$" }, b: { type: "array", items: { enum: [1, "x", null] } } },
  required: ["a", "b"],
  additionalProperties: false,
};
const sampling = { temperature: 0.7, top_p: 0.9, top_k: 20, min_p: 0.01, seed: 7, frequency_penalty: 0.5 };
const jsonSchema = (of: unknown) => ({ type: "json_schema", json_schema: { name: "x", strict: true, schema: of } });
const chatPath = "/v1/chat/completions";

const requests: readonly Files[] = [
  request("POST", "/v1/completions", {
    ...{ model: "stories260K", prompt: "Once upon a time", max_tokens: 4, n: 2, stop: ["."], logprobs: 2 },
    ...{ ...sampling, presence_penalty: -0.5, repetition_penalty: 1.1, logit_bias: { "5": -100, "7": 3 } },
  }),
  request("POST", "/v1/completions", {
    ...{ prompt: [[1, 2, 3], "The dog"], max_tokens: 3, stream: true, stream_options: { include_usage: true } },
    interventions: [{ bundle: "push", stages: { push: { strength: 2, positions: "generated" } } }],
  }),
  request("POST", "/v1/completions", {
    ...{ prompt: "A", max_tokens: 2, echo: true, logprobs: 1, best_of: 2, stop_token_ids: [2], user: "me" },
    steer_vector_request: { steer_vector_name: "push", steer_vector_int_id: 1, scale: 6 },
  }),
  request("POST", chatPath, { messages: messages.slice(1), tools: [tool], max_completion_tokens: 4, ...sampling }),
  request("POST", chatPath, { messages, max_tokens: 6, stream: true, response_format: jsonSchema(schema) }),
  request("POST", chatPath, {
    ...{ messages: messages.slice(0, 2), logprobs: true, top_logprobs: 2, n: 2, max_tokens: 3 },
    ...{ response_format: { type: "json_object" }, chat_template_kwargs: { enable_thinking: false } },
  }),
  request("PUT", "/v1/bundles/other", writeBundle(push) as Uint8Array<ArrayBuffer>),
  request("PUT", "/v1/bundles/push", writeBundle(cut) as Uint8Array<ArrayBuffer>),
  request("DELETE", "/v1/bundles/push"),
  request("GET", "/v1/bundles/cut"),
  request("GET", "/v1/models/stories260K"),
  request("GET", "/metrics"),
];

/** One for many cases: a new one takes longer than most answers. It holds the same for each. */
let server: ImaginedServer | undefined;

/** Whether a request may have changed what the server holds. */
const mayChange = ({ method }: Request): boolean => method === "PUT" || method === "DELETE";

export const serverRequests: Target = {
  name: "server_request",
  seeds: () => requests,
  edits: (path) => path === "body",
  async read(files, random) {
    const sent = sentBy(files, random);
    const own = server ?? (await imaginedServer(model, bundles));
    // After a fault there is another.
    server = undefined;
    own.drawBy(random);
    const answer = await own.app.fetch(sent);
    const text = await answer.text();
    if (own.faults.length > 0) throw own.faults[0];
    if (!mayChange(sent)) server = own;
    // An answer to HEAD has no body, whatever its status.
    if (sent.method === "HEAD") return;
    if (answer.status < 400) return checkAnswer(answer, text);
    checkError(JSON.parse(text), answer.status);
    throw new Refusal(String(answer.status));
  },
};

const methods = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"];
const paths = [
  ...[
    "/",
    "//",
    "/v1",
    "/health",
    "/v1/models/",
    "/v1/bundles/",
    "/v1/bundles/..%2Fetc",
    "/v1/bundles/%00",
    "/%E0%A4%A",
  ],
  ...[
    "/v1/bundles/constructor",
    "/v1/models/__proto__",
    "/v1/completions?x=1",
    "/v1/chat/completions/",
    "/V1/completions",
  ],
  `/v1/bundles/${"a".repeat(10_000)}`,
];
const headerNames = ["Content-Type", "Origin", "Authorization", "Accept", "Content-Encoding", "X-Request-Id", "Host"];
const headerValues = [
  ...["", "application/json", "application/json; charset=utf-16", "text/plain", "multipart/form-data", "*/*", "gzip"],
  ...["https://good.example", "https://bad.example", "null", "Bearer", "Bearer x", "__proto__", "a".repeat(10_000)],
];

/** A fourth of all requests, and each without a body, goes elsewhere or says something else of itself. */
function headOf(files: Files, random: Random): Head {
  const head = JSON.parse(new TextDecoder().decode(files.get("head.json"))) as Head;
  const draw = random();
  if (draw > 0.98 || (files.has("body") && draw > 0.25)) return head;
  const kind = picked(["method", "path", "header", "header"] as const, random());
  if (kind === "method") return { ...head, method: picked(methods, random()) };
  if (kind === "path") return { ...head, path: picked(paths, random()) };
  return { ...head, headers: { ...head.headers, [picked(headerNames, random())]: picked(headerValues, random()) } };
}

function sentBy(files: Files, random: Random): Request {
  const { method, path, headers } = headOf(files, random);
  let body: Uint8Array<ArrayBuffer> | string | undefined = files.get("body");
  // A schema that nobody wrote by hand, now and then.
  if (body && random() < 0.4) {
    body = withSchema(new TextDecoder().decode(body), drawnSchema(Math.floor(random() * 2 ** 31))) ?? body;
  }
  const hasBody = body !== undefined && method !== "GET" && method !== "HEAD";
  return new Request(`http://127.0.0.1:8000${path}`, { method, headers, ...(hasBody && { body: body as string }) });
}

/** The body with another schema in the place of its own; null if it has none. */
function withSchema(body: string, of: unknown): string | null {
  if (!body.includes('"json_schema":{') && !body.includes('"parameters":{')) return null;
  try {
    const parsed = JSON.parse(body) as Record<string, unknown>;
    if (parsed.response_format) return JSON.stringify({ ...parsed, response_format: jsonSchema(of) });
    const own = { ...tool, function: { ...tool.function, parameters: of } };
    return JSON.stringify({ ...parsed, tools: [own], tool_choice: "required" });
  } catch (error) {
    // It is nested too deep to be written again.
    if (error instanceof SyntaxError || error instanceof RangeError) return null;
    throw error;
  }
}

function checkAnswer(answer: Response, text: string): void {
  const type = answer.headers.get("content-type") ?? "";
  if (type.startsWith("text/event-stream")) checkStream(text);
  else if (type.startsWith("application/json")) {
    const parsed = JSON.parse(text) as { readonly object?: unknown; readonly id?: unknown };
    if (typeof parsed.object !== "string" && !("status" in parsed)) throw new Broken("an answer is of no kind");
  } else if (!type.startsWith("text/plain") && text !== "") throw new Broken(`an answer is ${type}`);
}

function checkStream(text: string): void {
  const events = text.split("\n\n").filter((event) => event.startsWith("data: "));
  const last = events.pop()?.slice(6);
  if (last === undefined) throw new Broken("a stream says nothing");
  for (const event of events) JSON.parse(event.slice(6));
  if (last === "[DONE]") return;
  checkError(JSON.parse(last), 400);
  throw new Refusal("in the stream");
}

/** The shape that OpenAI's clients read. */
function checkError(answer: unknown, status: number): void {
  const { error } = answer as { readonly error?: Readonly<Record<string, unknown>> };
  const { message, type, param, code } = error ?? {};
  const isText = (value: unknown): boolean => typeof value === "string" && value !== "" && value.length < 4000;
  if (!isText(message) || !isText(type)) throw new Broken(`an error says ${JSON.stringify(answer).slice(0, 200)}`);
  if ((param !== null && !isText(param)) || (code !== null && !isText(code)))
    throw new Broken(`an error names nothing: ${JSON.stringify(answer).slice(0, 300)}`);
  if (status >= 500 || type === "server_error") throw new Broken(`a request is called the server's fault: ${message}`);
  if (/\[object |defect in Sluice/.test(message as string)) throw new Broken(`an error says ${message}`);
}
