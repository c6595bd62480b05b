/** Errors in OpenAI's shape, with their status codes. */
import { type ErrorCode, SluiceError } from "../errors.ts";
import { defaultLimits } from "./limits.ts";

export interface ProblemBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    /** The field at fault. */
    readonly param: string | null;
    readonly code: string | null;
  };
}

/** A request that cannot be answered. */
export class Problem extends Error {
  readonly status: number;
  readonly code: string | null;
  readonly param: string | null;

  constructor(
    status: number,
    message: string,
    { code = null, param = null }: { code?: string | null; param?: string | null } = {},
  ) {
    super(message);
    this.status = status;
    this.code = code;
    this.param = param;
  }

  get body(): ProblemBody {
    return { error: { message: this.message, type: typeOf(this.status), param: this.param, code: this.code } };
  }

  get headers(): Readonly<Record<string, string>> {
    if (this.status === 401) return { "WWW-Authenticate": "Bearer" };
    return this.status === 429 || this.status === 503 ? { "Retry-After": String(defaultLimits.retryAfterSeconds) } : {};
  }
}

function typeOf(status: number): string {
  if (status === 401) return "authentication_error";
  if (status === 403) return "permission_error";
  if (status === 404) return "not_found_error";
  if (status === 429) return "rate_limit_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

const STATUS: Readonly<Partial<Record<ErrorCode, number>>> = {
  usage: 400,
  bad_tokens: 400,
  bad_bundle: 400,
  bad_file: 400,
  context_overflow: 400,
  busy: 429,
  non_finite: 422,
  aborted: 408,
};

const CODES: Readonly<Partial<Record<ErrorCode, string>>> = {
  usage: "invalid_value",
  context_overflow: "context_length_exceeded",
  busy: "queue_full",
  aborted: "timeout",
};

/** Options of the library by the names that requests use. */
const FIELDS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    maxNewTokens: "max_tokens",
    topK: "top_k",
    topP: "top_p",
    minP: "min_p",
    repetitionPenalty: "repetition_penalty",
    frequencyPenalty: "frequency_penalty",
    presencePenalty: "presence_penalty",
    logitBias: "logit_bias",
    topLogprobs: "top_logprobs",
    responseFormat: "response_format",
    stopTokens: "stop_token_ids",
    json_schema: "response_format",
  }),
);

/** What a client is told of an error. Faults of the server are told without their inside. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (!(error instanceof SluiceError))
    return new Problem(500, "The server failed; its log says why", { code: "internal_error" });
  // What is wrong with a request's own fields is said with their path: `completions: stream_options.x is not known`.
  const [, path] = /^(?:completions|chat\/completions|steer|interventions): ([\w.[\]]+)/.exec(error.message) ?? [];
  const param = path ?? (error.field === undefined ? null : (FIELDS.get(error.field) ?? error.field));
  const status = STATUS[error.code] ?? 500;
  // Usage errors name their call first, which a client did not make.
  const message = error.message
    .replace(/^generate(?:Batch)?: /, "")
    .replaceAll(/\b[a-z]+[A-Z]\w*\b/g, (word) => FIELDS.get(word) ?? word);
  return new Problem(status, message, { code: CODES[error.code] ?? error.code, param });
}
