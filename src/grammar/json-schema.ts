/**
 * JSON Schema as an expression: every text that fits the expression is JSON that fits the schema. The reverse does not
 * hold: members come in the schema's order, an object has members that no schema names only if `additionalProperties` says
 * so, and `oneOf` is read as `anyOf`. Keywords that restrict values in ways not known here are refused, not ignored.
 */
import { show } from "../show.ts";
import { all, any, type Expression, empty, inTurn, literal, oneAmong, Rule } from "./expression.ts";
import * as json from "./json-text.ts";
import { counts, numberOf, refusal, type Schema, stringOf } from "./scalar-schema.ts";

/** Keywords that say nothing about which values fit, or stand beside those that do. */
const NOTES = new Set([
  "$schema",
  "$id",
  "$comment",
  "$defs",
  "definitions",
  "title",
  "description",
  "default",
  "examples",
  "deprecated",
  "readOnly",
  "writeOnly",
  "strict",
  "discriminator",
]);
/** Extensions, which say nothing of values, begin so. */
const EXTENSION = "x-";

/** Keywords by the type of value that they restrict. */
const KEYWORDS: Readonly<Record<string, readonly string[]>> = {
  object: ["properties", "required", "additionalProperties", "minProperties", "maxProperties"],
  array: ["items", "prefixItems", "minItems", "maxItems"],
  string: ["minLength", "maxLength", "pattern", "format"],
  integer: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  boolean: [],
  null: [],
};

const TYPES = Object.keys(KEYWORDS);
const CHOOSING = new Set(["type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref"]);
/** Maximum depth of schemas within schemas, and of values within constants. */
const MOST_DEPTH = 64;
/** Maximum number of names and values that a schema lists in all, and of characters in these. */
const MOST_LISTED = 20_000;
const MOST_CHARACTERS = 100_000;
/** Maximum length of a name: other names are told apart from it character by character. */
const MOST_NAME = 500;

/** A schema's expression, with spaces before it. @throws SluiceError `usage` naming the place in the schema */
export function compileSchema(schema: unknown): Expression {
  return all(json.space, new Compiler(schema).compile(schema, "#", 0));
}

/** Any JSON object, as `response_format: {type: "json_object"}` asks for. */
export const anyObject: Expression = all(json.space, json.object);

class Compiler {
  readonly #root: unknown;
  readonly #rules = new Map<string, Expression>();
  /** By schema: one that stands for several members is compiled once. */
  readonly #compiled = new Map<Schema, Expression>();
  #listed = 0;
  #characters = 0;

  constructor(root: unknown) {
    this.#root = root;
  }

  compile(schema: unknown, path: string, depth: number): Expression {
    if (depth > MOST_DEPTH) throw refusal(path, `is nested deeper than ${MOST_DEPTH} schemas`);
    if (schema === true) return json.value;
    if (schema === false) throw refusal(path, "is false, which no value fits");
    if (!isSchema(schema)) throw refusal(path, `is ${show(schema)}; a schema is an object`);
    let compiled = this.#compiled.get(schema);
    if (!compiled) {
      compiled = this.#compileObject(schema, path, depth);
      this.#compiled.set(schema, compiled);
    }
    return compiled;
  }

  /** Counts what a schema lists, before anything is made of it. */
  #admit(listed: number, path: string, names: Iterable<unknown> = []): void {
    this.#listed += listed;
    if (this.#listed > MOST_LISTED) throw refusal(path, `lists more than ${MOST_LISTED} values, with those before it`);
    for (const name of names) {
      if (typeof name !== "string") continue;
      this.#characters += name.length;
      if (this.#characters > MOST_CHARACTERS) {
        throw refusal(path, `has more than ${MOST_CHARACTERS} characters, with those before it`);
      }
    }
  }

  /** Counts what a constant holds, which may be nested. */
  #admitConstant(value: unknown, path: string, depth = 0): void {
    if (depth > MOST_DEPTH) throw refusal(path, `is nested deeper than ${MOST_DEPTH} values`);
    this.#admit(1, path, [value]);
    if (typeof value === "object" && value !== null) {
      const isList = Array.isArray(value);
      for (const [name, each] of Object.entries(value)) {
        if (!isList) this.#admit(0, path, [name]);
        this.#admitConstant(each, path, depth + 1);
      }
    } else if (value !== null && !["string", "number", "boolean"].includes(typeof value)) {
      throw refusal(path, `has ${show(value)}, which JSON does not hold`);
    } else if (typeof value === "number" && !Number.isFinite(value)) {
      throw refusal(path, `has ${value}, which JSON does not hold`);
    }
  }

  #compileObject(schema: Schema, path: string, depth: number): Expression {
    if (schema.$ref !== undefined) return this.#reference(schema, path, depth);
    if (schema.const !== undefined) return this.#constants(schema, "const", [schema.const], path);
    if (schema.enum !== undefined) return this.#constants(schema, "enum", schema.enum, path);
    for (const key of ["anyOf", "oneOf", "allOf"]) {
      if (schema[key] !== undefined) return this.#combined(schema, key, path, depth);
    }
    if (Array.isArray(schema.type)) this.#admit(schema.type.length, `${path}/type`);
    const types = typesOf(schema, path);
    checkKeywords(schema, types, path);
    return any(...types.map((type) => this.#typed(type, schema, path, depth)));
  }

  #reference(schema: Schema, path: string, depth: number): Expression {
    const { $ref } = schema;
    checkAlone(schema, "$ref", path);
    if (typeof $ref !== "string" || !$ref.startsWith("#")) {
      throw refusal(`${path}/$ref`, `is ${show($ref)}; only places within the schema are read, such as "#/$defs/item"`);
    }
    const known = this.#rules.get($ref);
    if (known) return known;
    const rule = new Rule($ref);
    // Defined before its body is read, which may refer to it.
    this.#rules.set($ref, { kind: "rule", rule });
    const body = this.compile(this.#at($ref, path), $ref, depth + 1);
    if (body.kind === "rule" && body.rule === rule) throw refusal(path, "refers to itself without end");
    return rule.define(body);
  }

  #at(reference: string, path: string): unknown {
    let found: unknown = this.#root;
    for (const part of reference.split("/").slice(1)) {
      if (found === undefined) break;
      const key = unescaped(part, path).replaceAll("~1", "/").replaceAll("~0", "~");
      const inside: unknown = isSchema(found) && Object.hasOwn(found, key) ? found[key] : undefined;
      found = Array.isArray(found) ? (found as readonly unknown[])[Number(key)] : inside;
    }
    if (found === undefined) throw refusal(`${path}/$ref`, `is ${show(reference)}, which the schema does not have`);
    return found;
  }

  #constants(schema: Schema, key: string, values: unknown, path: string): Expression {
    if (!Array.isArray(values) || values.length === 0) throw refusal(`${path}/${key}`, "must be a list of values");
    checkAlone(schema, key, path, ["type"]);
    for (const value of values) this.#admitConstant(value, `${path}/${key}`);
    const types = schema.type === undefined ? TYPES : typesOf(schema, path);
    const fitting = values.filter((value) => types.some((type) => isOf(value, type)));
    if (fitting.length === 0) throw refusal(`${path}/${key}`, `has no value of the type ${show(schema.type)}`);
    return oneAmong(fitting.map((value) => json.constant(value)));
  }

  #combined(schema: Schema, key: string, path: string, depth: number): Expression {
    const list = schema[key];
    if (!Array.isArray(list) || list.length === 0) throw refusal(`${path}/${key}`, "must be a list of schemas");
    if (key === "allOf" && list.length > 1)
      throw refusal(`${path}/allOf`, "has several schemas, which cannot be joined");
    checkAlone(schema, key, path);
    this.#admit(list.length, `${path}/${key}`);
    return oneAmong(list.map((each: unknown, i) => this.compile(each, `${path}/${key}/${i}`, depth + 1)));
  }

  #typed(type: string, schema: Schema, path: string, depth: number): Expression {
    switch (type) {
      case "object":
        return this.#object(schema, path, depth);
      case "array":
        return this.#array(schema, path, depth);
      case "string":
        return stringOf(schema, path);
      case "integer":
      case "number":
        return numberOf(type, schema, path);
      case "boolean":
        return any(literal("true"), literal("false"));
      default:
        return literal("null");
    }
  }

  #object(schema: Schema, path: string, depth: number): Expression {
    const { properties = {}, required = [], additionalProperties } = schema;
    if (!isSchema(properties)) throw refusal(`${path}/properties`, "must be an object of schemas");
    if (!Array.isArray(required) || !required.every((name) => typeof name === "string")) {
      throw refusal(`${path}/required`, "must be a list of names");
    }
    const names = Object.keys(properties);
    this.#admit(names.length + required.length, path, [...names, ...(required as readonly string[])]);
    const long = [...names, ...(required as readonly string[])].find((name) => name.length > MOST_NAME);
    if (long !== undefined) throw refusal(path, `has a name of more than ${MOST_NAME} characters, ${show(long)}`);
    const known = new Set(names);
    const needed = new Set(required as readonly string[]);
    const allows = additionalProperties ?? names.length === 0;
    for (const name of needed) {
      if (known.has(name)) continue;
      if (allows === false) throw refusal(`${path}/required`, `names ${show(name)}, which properties lacks`);
      names.push(name);
    }
    const others = allows === false ? undefined : this.compile(allows, `${path}/additionalProperties`, depth + 1);
    const [least, most] = counts(schema, "minProperties", "maxProperties", path);
    if (names.length === 0) return json.objectOf(json.stringOf(), others ?? json.value, least, others ? most : 0);
    if (schema.minProperties !== undefined || schema.maxProperties !== undefined) {
      throw refusal(path, "counts its properties and names some: only one of both is supported");
    }
    const members = names.map((name): Member => {
      const inner = Object.hasOwn(properties, name) ? properties[name] : (allows as unknown);
      const value = this.compile(inner, `${path}/properties/${name}`, depth + 1);
      return { is: memberOf(literal(JSON.stringify(name)), value), isNeeded: needed.has(name) };
    });
    const rest = others && memberOf(json.otherKey(names), others);
    return all(literal("{"), json.space, inOrder(members, rest), literal("}"));
  }

  #array(schema: Schema, path: string, depth: number): Expression {
    const { items = true, prefixItems } = schema;
    const [least, most] = counts(schema, "minItems", "maxItems", path);
    if (prefixItems === undefined) return json.listOf(this.compile(items, `${path}/items`, depth + 1), least, most);
    if (!Array.isArray(prefixItems)) throw refusal(`${path}/prefixItems`, "must be a list of schemas");
    if (items !== false && !(schema.minItems === prefixItems.length && schema.maxItems === prefixItems.length)) {
      throw refusal(`${path}/prefixItems`, "needs items: false, or as many minItems and maxItems");
    }
    this.#admit(prefixItems.length, `${path}/prefixItems`);
    const parts = prefixItems.map((each: unknown, i) => this.compile(each, `${path}/prefixItems/${i}`, depth + 1));
    const joined = parts.flatMap((part, i) => (i === 0 ? [part] : [literal(","), json.space, part]));
    return all(literal("["), json.space, inTurn(joined), json.space, literal("]"));
  }
}

interface Member {
  readonly is: Expression;
  readonly isNeeded: boolean;
}

function memberOf(key: Expression, value: Expression): Expression {
  return all(key, literal(":"), json.space, value);
}

/** Members in their order, the optional ones or not, then any number of others; commas between. Ends with a space. */
function inOrder(members: readonly Member[], others: Expression | undefined): Expression {
  const comma = all(literal(","), json.space);
  const more = others && { kind: "many" as const, part: all(comma, others) };
  // What may follow member i, if one was written before it, and if none was.
  let [after, first] = more ? [more as Expression, any(all(others as Expression, more), empty)] : [empty, empty];
  for (const { is, isNeeded } of [...members].reverse()) {
    const [then, skipped] = [after, first];
    after = isNeeded ? all(comma, is, then) : any(all(comma, is, then), then);
    first = isNeeded ? all(is, then) : any(all(is, then), skipped);
  }
  return all(first, json.space);
}

/** The types that a schema allows; all of them if it names none and no keyword of one. */
function typesOf(schema: Schema, path: string): readonly string[] {
  const { type } = schema;
  if (type === undefined) {
    const said = TYPES.filter((each) => KEYWORDS[each]?.some((key) => schema[key] !== undefined));
    return said.length > 0
      ? said.filter((each) => each !== "integer" || !said.includes("number"))
      : TYPES.filter((each) => each !== "integer");
  }
  const types = Array.isArray(type) ? (type as readonly unknown[]) : [type];
  for (const each of types) {
    if (typeof each !== "string" || !TYPES.includes(each)) {
      throw refusal(`${path}/type`, `is ${show(each)}; there are ${TYPES.join(", ")}`);
    }
  }
  if (types.length === 0) throw refusal(`${path}/type`, "is an empty list");
  return [...new Set(types as readonly string[])];
}

function checkKeywords(schema: Schema, types: readonly string[], path: string): void {
  // Keywords of other types restrict nothing here, as the standard says.
  const known = new Set([...Object.values(KEYWORDS).flat(), ...CHOOSING, ...NOTES]);
  for (const key of Object.keys(schema)) {
    if (known.has(key) || key.startsWith(EXTENSION)) continue;
    throw refusal(
      `${path}/${key}`,
      "is not supported",
      `For ${types.join(", ")} there are ${types.flatMap((type) => KEYWORDS[type] ?? []).join(", ")}.`,
    );
  }
}

/** Refuses keywords beside one that decides alone. */
function checkAlone(schema: Schema, key: string, path: string, beside: readonly string[] = []): void {
  for (const other of Object.keys(schema)) {
    if (other === key || NOTES.has(other) || other.startsWith(EXTENSION) || beside.includes(other)) continue;
    throw refusal(`${path}/${other}`, `stands beside ${key}, and the two cannot be joined`);
  }
}

function isOf(value: unknown, type: string): boolean {
  if (type === "null") return value === null;
  if (type === "array") return Array.isArray(value);
  if (type === "object") return typeof value === "object" && value !== null && !Array.isArray(value);
  if (type === "integer") return Number.isInteger(value);
  return typeof value === type;
}

function isSchema(value: unknown): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A part of a reference, in which % begins an escape. */
function unescaped(part: string, path: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw refusal(`${path}/$ref`, `has ${show(part)}, whose escapes are broken`);
  }
}
