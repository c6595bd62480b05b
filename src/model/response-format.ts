/** What a generated text must be, and the grammar that makes it so. */
import { isOptions } from "../arguments/lists.ts";
import type { Rule } from "../arguments/rule.ts";
import { SluiceError } from "../errors.ts";
import type { TokenGrammar } from "../grammar/constraint.ts";
import type { TokenIndex } from "../grammar/token-index.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/** A JSON schema: an object of keywords, or true for any JSON. */
export type JsonSchema = Readonly<Record<string, unknown>> | boolean;

/** A JSON value of a schema between two fixed texts, such as a tool call. */
export interface FramedJson {
  /** The text before the JSON. */
  readonly begin: string;
  /** What the JSON must fit. */
  readonly schema: JsonSchema;
  /** The text after it. */
  readonly end: string;
}

/** What a generated text must be; the first three as in OpenAI's interface. */
export type ResponseFormat =
  /** Anything. */
  | { readonly type: "text" }
  /** A JSON object. */
  | { readonly type: "json_object" }
  /** JSON that fits a schema. */
  | { readonly type: "json_schema"; readonly json_schema: { readonly schema: JsonSchema } }
  /** One of these. */
  | { readonly type: "framed_json"; readonly framed_json: readonly FramedJson[] };

const TYPES = ["text", "json_object", "json_schema", "framed_json"];

/** A format as a caller gives it; schemas are read when they are used. */
export const responseFormat: Rule<ResponseFormat> = {
  takes: `a format { type: ${TYPES.map((type) => `"${type}"`).join(", ")} }`,
  suits: isOptions,
  read(value, place) {
    if (!isOptions(value)) throw place.refuse(value, this.takes);
    const { type } = value;
    if (typeof type !== "string" || !TYPES.includes(type))
      throw place.field("type").refuse(type, `one of ${TYPES.join(", ")}`);
    const given = value[type];
    if (type === "json_schema" && !(isOptions(given) && isSchema(given.schema))) {
      throw place.field("json_schema").refuse(given, "an object { schema }, of which schema is an object or true");
    }
    if (type === "framed_json" && !(Array.isArray(given) && given.length > 0 && given.every(isFramed))) {
      throw place.field("framed_json").refuse(given, "a list of { begin, schema, end }");
    }
    return value as unknown as ResponseFormat;
  },
};

function isSchema(value: unknown): value is JsonSchema {
  return isOptions(value) || typeof value === "boolean";
}

function isFramed(value: unknown): boolean {
  return isOptions(value) && typeof value.begin === "string" && typeof value.end === "string" && isSchema(value.schema);
}

/** The tokens of tokenizers in the order of their bytes, which take a while to sort. */
const indexes = new WeakMap<Tokenizer, TokenIndex>();

/**
 * The grammar of a format over a tokenizer's tokens; undefined if anything goes.
 * @param stopTokens may end the text where it is complete
 * @throws SluiceError `usage` for a schema that cannot be held to, `bad_tokens` without a tokenizer
 */
export async function grammarFor(
  format: ResponseFormat | undefined,
  {
    tokenizer,
    tokenizerError,
    vocabSize,
    stopTokens,
  }: {
    readonly tokenizer: Tokenizer | null;
    readonly tokenizerError?: SluiceError | null | undefined;
    readonly vocabSize: number;
    readonly stopTokens: Iterable<number>;
  },
): Promise<TokenGrammar | undefined> {
  if (!format || format.type === "text") return undefined;
  if (tokenizerError) throw tokenizerError;
  const bytesOf = tokenizer?.tokenBytes?.bind(tokenizer);
  if (!tokenizer || !bytesOf) {
    throw new SluiceError("bad_tokens", "A response format needs a tokenizer whose tokens are bytes of a text", {
      hint: "Leave responseFormat out, or add tokenizer.json.",
      field: "responseFormat",
    });
  }
  const [{ Automaton }, schemas, { TokenIndex }, { TokenGrammar }, { all, any, literal }] = await Promise.all([
    import("../grammar/automaton.ts"),
    import("../grammar/json-schema.ts"),
    import("../grammar/token-index.ts"),
    import("../grammar/constraint.ts"),
    import("../grammar/expression.ts"),
  ]);
  const expressionOf = (): ReturnType<typeof all> => {
    if (format.type === "json_object") return schemas.anyObject;
    if (format.type === "json_schema") return schemas.compileSchema(format.json_schema.schema);
    const framed = format.framed_json.map(({ begin, schema, end }) => {
      return all(literal(begin), schemas.compileSchema(schema), literal(end));
    });
    return any(...framed);
  };
  let index = indexes.get(tokenizer);
  if (!index) {
    index = new TokenIndex(bytesOf, vocabSize);
    indexes.set(tokenizer, index);
  }
  const inside = [...stopTokens].filter((id) => id < vocabSize);
  return new TokenGrammar(new Automaton(expressionOf()), index, bytesOf, inside);
}
