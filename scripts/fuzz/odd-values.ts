/** Values that programs often get wrong, for places in files. */

/** Text that stands in a JSON file as it is, where no JavaScript value prints as it. */
export class Raw {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

const nested = (depth: number, open: string, close: string, inner = ""): Raw =>
  new Raw(open.repeat(depth) + inner + close.repeat(depth));

/** Names that every JavaScript object has. */
export const knownNames: readonly string[] = [
  "constructor",
  "__proto__",
  "prototype",
  "toString",
  "valueOf",
  "hasOwnProperty",
  "__defineGetter__",
  "length",
  "then",
];

export const oddTexts: readonly string[] = [
  "",
  " ",
  ...knownNames,
  "../../etc/passwd",
  "/etc/passwd",
  "C:\\x",
  "a\0b",
  "$&$1$`",
  "%s%n",
  "\u2028",
  "\ufeff",
  "é".normalize("NFD"),
  "🙂",
  "(a+)+$",
  "[",
  "(?<=x)",
  "{{ 1/0 }}",
  "{% for i in range(10**9) %}x{% endfor %}",
  "{% for a in range(3000) %}{% for b in range(3000) %}{{ a }}{% endfor %}{% endfor %}",
  "{{ ''.constructor.constructor('return process')() }}",
  "{{ messages.__class__ }}",
  "{% set x = 'ab' * 10**9 %}{{ x }}",
  "x".repeat(100_000),
];

export const oddNumbers: readonly (number | Raw)[] = [
  0,
  -0,
  -1,
  1,
  0.5,
  -0.5,
  3,
  255,
  65_536,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 32 + 1,
  2 ** 53,
  2 ** 53 + 2,
  -(2 ** 31),
  1e-300,
  1e300,
  3.5e38,
  new Raw("1e400"),
  new Raw("-1e400"),
  new Raw("NaN"),
  new Raw("Infinity"),
  new Raw("123456789012345678901234567890"),
];

export const oddValues: readonly unknown[] = [
  null,
  true,
  false,
  ...oddNumbers,
  ...oddTexts,
  [],
  {},
  [null],
  [[]],
  { "": "" },
  Array.from({ length: 20_000 }, (_, i) => i),
  nested(50_000, "[", "]"),
  nested(20_000, '{"a":', "}", "1"),
  new Raw('"\\ud800"'),
  new Raw('{"a":1,"a":2}'),
  new Raw('{"__proto__":{"x":1}}'),
  new Raw(""),
];
