/** Templates come from strangers: they end soon, take little, and reach nothing of the host. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { NotData, Template, TemplateError } from "../../src/jinja/template.ts";

const render = (template: string, variables: Readonly<Record<string, unknown>> = {}): string =>
  new Template(template).render(variables);
const times = (count: number, text: string): string => text.repeat(count);

/** Templates that would run for ages or take gigabytes, by what they do. */
const ENDLESS: Readonly<Record<string, string>> = {
  "loops in loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
  "text that doubles": "{% set n = namespace(s='x') %}{% for i in range(99) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
  "repeated text": "{{ 'x' * 10**9 }}",
  "much output": "{% for i in range(99999) %}{{ 'x' * 100000 }}{% endfor %}",
  powers: "{{ 9 ** 99999 ** 9 }}",
  "numbers that grow": "{% set n = namespace(x=3) %}{% for i in range(99) %}{% set n.x = n.x * n.x %}{% endfor %}",
  "wide columns": "{{ 'x'.center(10**12) }}",
  "wide numbers": "{{ '%1000000000d' % 1 }}",
  "long fractions": "{{ '%.1000000000f' % 1.5 }}",
  "endless macros": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
  "loops that call themselves": "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
  "values in values":
    "{% set n = namespace(l=[]) %}{% for i in range(9999) %}{% set n.l = [n.l] %}{% endfor %}{{ n.l }}",
  "values seen often":
    "{% set n = namespace(l=[]) %}{% for i in range(60) %}{% set n.l = [n.l, n.l] %}{% endfor %}{{ n.l }}",
  "a namespace in itself": "{% set n = namespace() %}{% set n.a = n %}{{ n }}",
  "searching long text":
    "{% set s = 'ab' * 2000000 %}{% for i in range(99999) %}{% set x = s.count('c') %}{% endfor %}",
  "comparing long text":
    "{% set s = 'a' * 4000000 %}{% for i in range(9999) %}{% set x = s ~ 1 == s ~ 2 %}{% endfor %}",
  "replacing everywhere": "{{ ('a' * 4000000).replace('a', 'bbbbbbbb') }}",
  "a part that nearly fits everywhere":
    "{% set s = 'a' * 4000000 %}{% set t = 'b' ~ 'a' * 99999 %}{% for i in range(99) %}{% set x = t in s %}{% endfor %}",
  "removing what is there":
    "{% set s = 'x' * 4000000 %}{% for i in range(99999) %}{% set x = s.removeprefix(s) %}{% endfor %}",
  "numbers in another base":
    "{% set s = 'f' * 32000 %}{% for i in range(99999) %}{% set x = s | int(0, 16) %}{% endfor %}",
  "macros of many parameters": `{% macro m(${Array.from({ length: 3000 }, (_, i) => `a${i}=1`)}) %}{% endmacro %}{% for i in range(99999) %}{{ m() }}{% endfor %}`,
  "dividing long numbers":
    "{% set a = 3 ** 80000 %}{% set b = 7 ** 20000 %}{% for i in range(99999) %}{% set x = a % b %}{% endfor %}",
  "a billion slices": "{{ [1] | slice(10**9) | list }}",
  "long links": "{{ (('.' * 3999 ~ ' ') * 1000) | urlize }}",
};

test("a template that does too much is stopped", () => {
  for (const [what, template] of Object.entries(ENDLESS)) {
    const start = performance.now();
    try {
      render(template);
      assert.unreachable(what);
    } catch (error) {
      assert.ok(error instanceof TemplateError, what);
      assert.is(error.kind, "limit", `${what}: ${error.message}`);
    }
    // Well under a second alone, on the machine this was written on.
    assert.ok(performance.now() - start < 8000, what);
  }
});

test("a template that nests too deeply, or is nothing but openings, cannot be read", () => {
  const deep = [
    `{{ ${times(50_000, "(")}1${times(50_000, ")")} }}`,
    `{{ ${times(50_000, "[")}${times(50_000, "]")} }}`,
    `{{ ${times(50_000, "not ")}1 }}`,
    `{{ 1${times(50_000, "+1")} }}`,
    `{{ a${times(50_000, ".b")} }}`,
    `{{ a${times(50_000, "|trim")} }}`,
    times(50_000, "{% if true %}"),
    times(50_000, "{{"),
    times(50_000, "{% raw %}{%"),
    `{% ${times(500_000, " ")}`,
    `{{ '${times(200_000, "\\'")}`,
    times(1_000_001, "x"),
  ];
  for (const template of deep) {
    try {
      render(template);
      assert.unreachable(template.slice(0, 20));
    } catch (error) {
      assert.ok(error instanceof TemplateError && error.kind === "syntax", template.slice(0, 20));
    }
  }
});

test("long parts are found where they are", () => {
  const long = "ab".repeat(40);
  const text = `${long}${long}c${long}b${long}`;
  const shown = (expression: string): string =>
    render(`{{ ${expression} }}`, { text, part: `${long}b`, other: `${long}d` });
  const at = text.indexOf(`${long}b`);
  assert.is(shown("text.find(part), text.rfind(part), text.find(other), text.rfind(other)"), `(${at}, ${at}, -1, -1)`);
  assert.is(shown("part in text, other in text, text.count(part), (text * 3).count(part)"), "(True, False, 1, 3)");
  assert.is(shown("text.split(part), text.rsplit(part, 1)"), shown("(text.split(part),) * 2"));
  assert.is(shown("text.replace(part, '') | length"), `${text.length - long.length - 1}`);
  assert.is(
    shown("('a' * 200).rfind('a' * 50), ('a' * 200).count('a' * 50), ('a' * 200).rsplit('a' * 70)"),
    `(150, 4, ['${"a".repeat(60)}', '', ''])`,
  );
  assert.is(
    shown("('z' * 40) | int(0, 36) == 36 ** 40 - 1, ('-' ~ '7' * 30) | int(0, 8) == 1 - 8 ** 30"),
    "(True, True)",
  );
  assert.is(shown("range(9)[::-(10**20)]"), `range(8, -1, -1${"0".repeat(20)})`);
  assert.throws(() => shown("'a'.translate({97: 1114112})"), /character mapping must be in range\(0x110000\)/);
});

test("a long conversation is no attack", () => {
  const messages = Array.from({ length: 400 }, (_, i) => ({ role: "user", content: `${i} ${times(5000, "word ")}` }));
  const template =
    "{% set n = namespace(s='') %}{% for m in messages %}{% set n.s = n.s ~ m.content | trim | replace('a', 'b') %}" +
    "{% endfor %}{{ n.s }}";
  assert.is(render(template, { messages }).length > 9_000_000, true);
});

test("nothing of the host can be reached", () => {
  const data = JSON.parse('{"own": 1, "__proto__": {"x": 2}, "constructor": 3}') as unknown;
  const shown = (expression: string): string => render(`{{ ${expression} }}`, { data, list: [1], text: "a" });
  for (const value of [
    "data",
    "list",
    "text",
    "range",
    "1",
    "none",
    "true",
    "namespace()",
    "cycler(1)",
    "self",
    "loop",
  ]) {
    for (const name of ["toString", "hasOwnProperty", "prototype", "length", "__defineGetter__", "valueOf", "call"]) {
      assert.throws(() => render(`{{ (${value}).${name}('x')('y') }}`, { data, list: [1], text: "a" }), /./, value);
    }
  }
  assert.is(shown("data.constructor"), "3");
  assert.is(shown("data['__proto__']"), "{'x': 2}");
  assert.is(shown("list.constructor ~ text.constructor ~ data.toString ~ list.length"), "");
  assert.throws(() => shown("text.constructor.constructor('return 1')()"), /has no attribute 'constructor'/);
});

test("what the caller passes is plain data, of which the numbers are Python's", () => {
  const print = (x: unknown): string => render("{{ x }}", { x });
  assert.is(
    print([1, 1.5, -0, 1e15, 2 ** 53, 1e21, 10n ** 30n, null, undefined, true]),
    "[1, 1.5, 0, 1000000000000000, 9007199254740992, 1e+21, 1000000000000000000000000000000, None, None, True]",
  );
  assert.is(
    print(
      new Map<unknown, unknown>([
        [1, "a"],
        ["b", new Map()],
      ]),
    ),
    "{1: 'a', 'b': {}}",
  );
  assert.is(print({ a: undefined, b: [undefined] }), "{'b': [None]}");
  const cycle: unknown[] = [];
  cycle.push(cycle);
  for (const x of [() => 1, Symbol("s"), { f: print }, cycle])
    assert.throws(
      () => print(x),
      (error: unknown) => error instanceof NotData,
    );
});

test("values that are too many are refused at once", () => {
  let twins: unknown = 1;
  for (let i = 0; i < 200; i++) twins = [twins, twins];
  for (const x of [new Array(2 ** 32 - 1), { a: [new Array(2 ** 32 - 1)] }, new Uint8Array(1_000_001), twins]) {
    const start = performance.now();
    assert.throws(
      () => render("{{ x }}", { x }),
      (error: unknown) =>
        error instanceof NotData && /^x.* is too large: .* at most 1000000 values/.test(error.message),
    );
    assert.ok(performance.now() - start < 8000);
  }
});

test.run();
