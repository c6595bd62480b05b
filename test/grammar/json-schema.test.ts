/** Texts drawn at random from a schema's grammar are JSON that fits the schema, and JSON that fits is accepted. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { SluiceError } from "../../src/errors.ts";
import { Automaton, type State } from "../../src/grammar/automaton.ts";
import { anyObject, compileSchema } from "../../src/grammar/json-schema.ts";
import { mulberry32 } from "../../src/numbers/sampling.ts";

const test = suite("JSON schemas as grammars");

/** What a text ends in: complete, incomplete, or nothing. */
function judge(automaton: Automaton, text: string): "complete" | "open" | "refused" {
  let state: State | null = automaton.start;
  for (const byte of new TextEncoder().encode(text)) {
    if (!state) return "refused";
    state = automaton.follow(state, byte);
  }
  if (!state) return "refused";
  return state.accepts ? "complete" : "open";
}

/** A text drawn byte by byte; it is brought to an end after `most` bytes. */
function draw(automaton: Automaton, random: () => number, most: number): string | undefined {
  const bytes: number[] = [];
  let state = automaton.start;
  for (let i = 0; i < 4 * most; i++) {
    if (state.isEnd || (state.accepts && random() < 0.3)) break;
    const next = Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => automaton.follow(state, byte));
    // Brackets, quotes and commas decide; letters would drown them.
    const ends = next.filter((byte) => '"}],:'.includes(String.fromCharCode(byte)));
    const from = ends.length > 0 && (random() < 0.3 || i > most) ? (i > most ? ends.slice(-1) : ends) : next;
    const byte = from[Math.floor(random() * from.length)] as number;
    bytes.push(byte);
    state = automaton.follow(state, byte) as State;
  }
  if (!state.accepts) return undefined;
  return new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(bytes));
}

interface Case {
  readonly name: string;
  readonly schema: unknown;
  readonly fits: readonly string[];
  readonly refused: readonly string[];
  /** Whether a parsed value fits. */
  readonly holds: (value: never) => boolean;
}

const person = {
  type: "object",
  properties: {
    name: { type: "string", minLength: 1, maxLength: 8 },
    age: { type: "integer", minimum: 0, maximum: 150 },
    tags: { type: "array", items: { enum: ["a", "b"] }, maxItems: 2 },
  },
  required: ["name", "age"],
  additionalProperties: false,
};

const cases: readonly Case[] = [
  {
    name: "an object with needed and optional members",
    schema: person,
    fits: [
      '{"name":"x","age":3}',
      '{ "name": "é\\n", "age": 150, "tags": ["a", "b"] }',
      ' {"name":"x","age":0,"tags":[]}',
    ],
    refused: [
      '{"age":3}',
      '{"name":"","age":3}',
      '{"name":"x","age":151}',
      '{"name":"x","age":03}',
      '{"name":"x"}',
      "[]",
      '{"name":"x","age":1,"b":2}',
    ],
    holds: ({ name, age, tags = [] }: { name: string; age: number; tags?: string[] }) =>
      [...name].length >= 1 &&
      [...name].length <= 8 &&
      Number.isInteger(age) &&
      age >= 0 &&
      age <= 150 &&
      tags.every((tag) => tag === "a" || tag === "b"),
  },
  {
    name: "all members optional",
    schema: { type: "object", properties: { a: { type: "null" }, b: { type: "boolean" }, c: { type: "number" } } },
    fits: ["{}", '{"b":true}', '{"a":null,"c":-1.5e3}', '{"c":0}'],
    refused: ['{"b":true,"a":null}', "{,}", '{"a":null,}', '{"c":1.}', '{"c":.5}'],
    holds: (value: object) => Object.keys(value).every((key) => "abc".includes(key)),
  },
  {
    name: "members that no property names",
    schema: { type: "object", properties: { ab: { type: "integer" } }, additionalProperties: { type: "string" } },
    fits: ['{"ab":1,"a":"x"}', '{"abc":"x","b":"y"}', '{"":"x"}'],
    refused: ['{"ab":"x"}', '{"a":1}', '{"ab":1,"ab":"x"}'],
    holds: (value: object) =>
      Object.entries(value).every(([key, each]) => typeof each === (key === "ab" ? "number" : "string")),
  },
  {
    name: "a schema that contains itself",
    schema: {
      $defs: {
        node: {
          type: "object",
          properties: { v: { type: "integer" }, next: { anyOf: [{ $ref: "#/$defs/node" }, { type: "null" }] } },
          required: ["v", "next"],
          additionalProperties: false,
        },
      },
      $ref: "#/$defs/node",
    },
    fits: ['{"v":1,"next":{"v":2,"next":null}}'],
    refused: ['{"v":1}', '{"v":1,"next":{}}'],
    holds: (value: { v: number; next: unknown }) => Number.isInteger(value.v) && "next" in value,
  },
  {
    name: "lists and tuples",
    schema: { type: "array", prefixItems: [{ type: "integer" }, { const: { x: [1] } }], items: false },
    fits: ['[3,{"x":[1]}]', '[ -3, { "x": [ 1 ] } ]'],
    refused: ["[3]", '[3,{"x":[2]}]', '[3,{"x":[1]},1]'],
    holds: (value: unknown[]) => value.length === 2,
  },
  {
    name: "counted lists",
    schema: { type: "array", items: { type: ["boolean", "null"] }, minItems: 2, maxItems: 3 },
    fits: ["[true,null]", "[null,null,false]"],
    refused: ["[]", "[true]", "[true,true,true,true]"],
    holds: (value: unknown[]) => value.length === 2 || value.length === 3,
  },
  {
    name: "whole numbers within bounds",
    schema: { type: "integer", exclusiveMinimum: -13, maximum: 1204 },
    fits: ["-12", "0", "7", "99", "1000", "1204"],
    refused: ["-13", "1205", "-0", "2000", "1.5", "00"],
    holds: (value: number) => value > -13 && value <= 1204,
  },
  {
    name: "numbers within bounds",
    schema: { type: "number", minimum: -1.25, exclusiveMaximum: 110.5 },
    fits: ["-1.25", "-1", "-0.5", "0", "0.000", "0.00000000000001", "7.5", "99.99", "110", "110.4999", "110.0"],
    refused: ["-1.26", "-1.2500001", "-2", "110.5", "110.50", "111", "1e1", "-0", "-0.0", "01", "1.", "200"],
    holds: (value: number) => value >= -1.25 && value < 110.5,
  },
  {
    name: "numbers within a narrow range, and above 0",
    schema: {
      type: "array",
      prefixItems: [
        { type: "number", exclusiveMinimum: 0.123, maximum: 0.1305 },
        { type: "number", exclusiveMinimum: 0 },
        { type: "number", maximum: -2.5, minimum: -2.75 },
        { type: "number", minimum: 0, maximum: 3, multipleOf: 0.01 },
      ],
      items: false,
    },
    fits: ["[0.1231,0.1,-2.6,3]", "[0.13,5,-2.50,0.25]", "[0.1305,123456.75,-2.75,2.9]"],
    refused: ["[0.123,1,-2.6,1]", "[0.131,1,-2.6,1]", "[0.124,0,-2.6,1]", "[0.124,0.0,-2.6,1]", "[0.124,1,-2.4,1]"],
    holds: ([a, b, c, d]: number[]) =>
      [a, b, c, d].every((each) => each !== undefined) &&
      (a as number) > 0.123 &&
      (a as number) <= 0.1305 &&
      (b as number) > 0 &&
      (c as number) >= -2.75 &&
      (c as number) <= -2.5 &&
      /^[0-3](\.\d{1,2})?$/.test(String(d)),
  },
  {
    name: "addresses and durations",
    schema: {
      type: "array",
      prefixItems: [
        { type: "string", format: "uri", minLength: 1, maxLength: 2083 },
        { type: "string", format: "ipv6" },
        { type: "string", format: "duration" },
      ],
      items: false,
    },
    fits: [
      '["https://example.org","::1","PT5M"]',
      '["http://a.example:8080/x/y%20z?q=1#top","2001:db8::ff00:42:8329","P1Y2M3DT4H5M6S"]',
      '["ftp://h.org/","1:2:3:4:5:6:7:8","P3W"]',
    ],
    refused: [
      '["example.org","::1","PT5M"]',
      '["https://example.org","1:2:3","PT5M"]',
      '["https://example.org","1::2::3","PT5M"]',
      '["https://example.org","::1","P"]',
      '["https://example.org","::1","P1Y2D"]',
    ],
    holds: ([uri, ipv6, duration]: string[]) =>
      URL.canParse(uri as string) &&
      URL.canParse(`http://[${ipv6}]/`) &&
      /^P(?!$)(\d+W|(\d+Y)?(\d+M)?(\d+D)?(T(?!$)(\d+H)?(\d+M)?(\d+S)?)?)$/.test(duration as string),
  },
  {
    name: "patterns",
    schema: { type: "string", pattern: '^[a-c]{2,3}-(\\d+|x)[^\\d"]?$' },
    fits: ['"ab-1"', '"abc-x"', '"cc-12!"', '"ab-1é"'],
    refused: ['"a-1"', '"abcd-1"', '"ab-"', '"ab-1"x', '"ab-1\\""'],
    holds: (value: string) => /^[a-c]{2,3}-(\d+|x)[^\d"]?$/u.test(value),
  },
  {
    name: "formats",
    schema: { type: "string", format: "date-time" },
    fits: ['"2026-11-29T23:59:59Z"', '"2026-02-28T00:00:00.5+02:00"'],
    refused: ['"2026-13-01T00:00:00Z"', '"2026-02-28"'],
    holds: (value: string) => Number.isFinite(Date.parse(value)),
  },
  {
    name: "anything",
    schema: true,
    fits: ["[]", '{"a":{"b":[1,"\\u00e9"]}}', "null"],
    refused: ["nul ", "{a:1}", '"\n"'],
    holds: () => true,
  },
];

for (const { name, schema, fits, refused, holds } of cases) {
  test(name, () => {
    const automaton = new Automaton(compileSchema(schema));
    for (const text of fits) assert.is(judge(automaton, text), "complete", text);
    for (const text of refused) assert.is.not(judge(automaton, text), "complete", text);
    const random = mulberry32(7);
    let drawn = 0;
    for (let i = 0; i < 100; i++) {
      const text = draw(automaton, random, 60);
      if (text === undefined) continue;
      drawn++;
      assert.ok(holds(JSON.parse(text) as never), text);
    }
    assert.ok(drawn > 30, `${drawn} of 100 texts came to an end`);
  });
}

test("any object", () => {
  const automaton = new Automaton(anyObject);
  assert.is(judge(automaton, '{"a": [1, {"b": "\\"}"}], "c": {}}'), "complete");
  assert.is(judge(automaton, "[1]"), "refused");
  assert.is(judge(automaton, '{"a": [1}'), "refused");
  assert.is(judge(automaton, '{"a"'), "open");
  assert.is(judge(automaton, "{}}"), "refused");
});

test("a text never spaces itself out for ever", () => {
  const automaton = new Automaton(anyObject);
  assert.is(judge(automaton, `{${" ".repeat(2)}`), "refused");
  assert.is(judge(automaton, `{\n${" ".repeat(20)}`), "open");
  assert.is(judge(automaton, `{\n${" ".repeat(21)}`), "refused");
});

test("what cannot be held to is refused by name", () => {
  const refusals: readonly (readonly [unknown, RegExp])[] = [
    [{ type: "string", contentEncoding: "base64" }, /#\/contentEncoding is not supported/],
    [
      { type: "object", properties: { a: { type: "number", minimum: 2, maximum: 1 } } },
      /#\/properties\/a has no number from 2 to 1/,
    ],
    [{ type: "number", multipleOf: 0.25 }, /#\/multipleOf is 0.25; supported are 1/],
    [{ type: "string", format: "date", maxLength: 9 }, /has a length beside the format date, which has 10 to 10/],
    [{ type: "text" }, /#\/type is "text"; there are object/],
    [{ $ref: "other.json" }, /#\/\$ref is "other.json"; only places within the schema/],
    [{ $ref: "#/$defs/none" }, /which the schema does not have/],
    [{ type: "string", pattern: "(?=a)b" }, /has \(\?, which is not supported/],
    [{ type: "string", maxLength: 1_000_000 }, /# counts to more than 10000/],
    [{ type: "array", items: { type: "string", maxLength: 5000 }, maxItems: 100 }, /too many forms/],
    [{ $ref: "#" }, /refers to itself without end/],
    [false, /no value fits/],
    [7, /a schema is an object/],
  ];
  for (const [schema, expected] of refusals) {
    try {
      new Automaton(compileSchema(schema));
      assert.unreachable(JSON.stringify(schema));
    } catch (error) {
      assert.instance(error, SluiceError);
      assert.is((error as SluiceError).code, "usage");
      assert.match((error as SluiceError).message, expected);
    }
  }
});

test("schemas from strangers are compiled or refused, in little time", () => {
  const nested = (levels: number, wrap: (inner: unknown) => unknown): unknown => {
    let schema: unknown = { type: "string" };
    for (let i = 0; i < levels; i++) schema = wrap(schema);
    return schema;
  };
  const names = (count: number) => Array.from({ length: count }, (_, i) => `n${i}`);
  const members = (count: number) => Object.fromEntries(names(count).map((name) => [name, { type: "string" }]));
  let groups = "()";
  for (let i = 0; i < 8; i++) groups = `(${groups}){1000}`;
  const compiled: unknown[] = [
    { type: "object", properties: members(40), additionalProperties: false },
    { type: "integer", minimum: 1 },
    { type: "string", pattern: groups },
    nested(40, (inner) => ({ type: ["object", "object"], properties: { a: inner }, additionalProperties: false })),
    JSON.parse(
      '{"type":"object","properties":{"__proto__":{"type":"string"}},"required":["__proto__","constructor"],"additionalProperties":true}',
    ),
  ];
  const refused: unknown[] = [
    { const: JSON.parse("[".repeat(100_000) + "]".repeat(100_000)) },
    JSON.parse(`${'{"anyOf":['.repeat(100_000)}true${"]}".repeat(100_000)}`),
    { type: "string", pattern: "(".repeat(5000) },
    { type: "string", pattern: "a|".repeat(200_000) },
    { $ref: "#/%E0" },
    { $ref: "#/constructor" },
    { enum: Array.from({ length: 500_000 }, (_, i) => i % 10) },
    { enum: [Number.NaN] },
    { type: Array.from({ length: 300_000 }, () => "string") },
    { anyOf: Array.from({ length: 300_000 }, () => true) },
    { const: "x".repeat(4_000_000) },
    { type: "object", required: names(300_000) },
    { type: "object", properties: { ["k".repeat(50_000)]: true }, additionalProperties: true },
    { type: "object", properties: members(3000), required: names(3000), additionalProperties: false },
    { ["k".repeat(1_000_000)]: 1 },
    { type: "integer", minimum: Number.POSITIVE_INFINITY },
    nested(40, (inner) => ({ type: "object", required: ["a", "b", "c"], additionalProperties: inner })),
    nested(40, (inner) => ({ type: "array", minItems: 10, maxItems: 10, items: inner })),
  ];
  const began = performance.now();
  for (const schema of compiled) new Automaton(compileSchema(schema));
  for (const [i, schema] of refused.entries()) {
    try {
      new Automaton(compileSchema(schema));
      assert.unreachable(String(i));
    } catch (error) {
      assert.instance(error, SluiceError, `${i}: ${String(error)}`);
      assert.ok((error as SluiceError).message.length < 700, String(i));
    }
  }
  assert.ok(performance.now() - began < 20_000);
});

test.run();
