/** JSON schemas of any shape: what a request may ask a text to fit, and what no text can. */
import fc from "fast-check";
import { oddNumbers, oddTexts, Raw } from "./odd-values.ts";

const numbers = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: -3, max: 12 }) },
  { weight: 1, arbitrary: fc.constantFrom(...oddNumbers.filter((each) => !(each instanceof Raw))) },
);
const texts = fc.oneof(fc.constantFrom("a", "b", "name", "$id"), fc.constantFrom(...oddTexts));
const patterns = fc.constantFrom(
  ...[
    "^a+$",
    "(a+)+$",
    "^[a-z]{2,5}$",
    "(x{1,1000}){1,1000}",
    "a{1000000000}",
    "[",
    "(?=a)b",
    "\\p{L}+",
    "(a|aa)*b",
    "",
  ],
  "((((((((((a*)*)*)*)*)*)*)*)*)*)*",
  "(".repeat(3000) + ")".repeat(3000),
);

const { schema } = fc.letrec<{ schema: unknown; object: unknown; list: unknown }>((tie) => ({
  object: fc.record(
    {
      type: fc.constant("object"),
      properties: fc.dictionary(texts, tie("schema"), { maxKeys: 4 }),
      required: fc.array(texts, { maxLength: 4 }),
      additionalProperties: fc.oneof(fc.boolean(), tie("schema")),
      minProperties: numbers,
    },
    { requiredKeys: ["type"] },
  ),
  list: fc.record(
    {
      type: fc.constant("array"),
      items: tie("schema"),
      minItems: numbers,
      maxItems: numbers,
      uniqueItems: fc.boolean(),
    },
    { requiredKeys: ["type"] },
  ),
  schema: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.record({ type: fc.constant("string"), minLength: numbers, maxLength: numbers }, { requiredKeys: ["type"] }),
    fc.record({ type: fc.constant("string"), pattern: patterns }),
    fc.record({ type: fc.constant("string"), format: fc.constantFrom("date", "date-time", "uuid", "email", "x") }),
    fc.record({ type: fc.constantFrom("integer", "number"), minimum: numbers, maximum: numbers }),
    fc.record({ enum: fc.array(fc.oneof(texts, numbers, fc.constant(null)), { maxLength: 5 }) }),
    fc.record({ const: fc.oneof(texts, numbers) }),
    fc.boolean(),
    fc.constant({ $ref: "#" }),
    fc.constant({ $ref: "#/$defs/a", $defs: { a: { $ref: "#/$defs/a" } } }),
    tie("object"),
    tie("list"),
    fc.record({ anyOf: fc.array(tie("schema"), { maxLength: 4 }) }),
    fc.record({ allOf: fc.array(tie("schema"), { maxLength: 3 }) }),
    fc.record({ type: fc.array(fc.constantFrom("string", "null", "integer", "object"), { maxLength: 3 }) }),
  ),
}));

/** The schema of a seed. */
export function drawnSchema(seed: number): unknown {
  return fc.sample(schema, { seed, numRuns: 1 })[0];
}
