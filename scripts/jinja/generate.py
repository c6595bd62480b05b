"""Random small templates over Jinja's grammar, and random values for them. Most of them render; some fail on purpose."""
import random

WORDS = ["a", "b", "x y", "", "Hello World", "  pad  ", "<b>&'\"", "é", "ΣΑΣ", "ß", "😀x", "line1\nline2", "a,b,c", "3", "-7", "3.5", "1e3", "0x1f", "tool_call", "{0} {name}", "%s-%d", "\\n", "\t", "don't", "ABC def-ghi (jkl)", "ǆ ﬁ", "١٢", "\u2028z"]
NAMES = ["s", "t", "n", "m", "f", "l", "d", "msgs", "none_v", "flag", "missing", "deep"]
STR_METHODS = [("upper", 0), ("lower", 0), ("title", 0), ("capitalize", 0), ("swapcase", 0), ("casefold", 0), ("strip", "s?"), ("lstrip", "s?"), ("rstrip", "s?"), ("split", "s?i?"), ("rsplit", "s?i?"), ("splitlines", "b?"), ("partition", "s"), ("rpartition", "s"), ("replace", "ssi?"), ("startswith", "s"), ("endswith", "s"), ("find", "si?i?"), ("rfind", "s"), ("index", "s"), ("count", "s"), ("zfill", "i"), ("ljust", "ic?"), ("rjust", "ic?"), ("center", "ic?"), ("isdigit", 0), ("isalpha", 0), ("isalnum", 0), ("isspace", 0), ("isupper", 0), ("islower", 0), ("istitle", 0), ("isnumeric", 0), ("isdecimal", 0), ("isidentifier", 0), ("isprintable", 0), ("isascii", 0), ("removeprefix", "s"), ("removesuffix", "s"), ("expandtabs", "i?"), ("join", "L"), ("format", "**")]
FILTERS = ["abs", "attr('x')", "batch(2)|list", "batch(3, 0)|list", "capitalize", "center(9)", "count", "default('D')", "default('D', true)", "d(1)", "dictsort", "dictsort(false, 'value')", "dictsort(reverse=true)", "e", "escape", "first", "float", "float(2.5)", "forceescape", "groupby('k')", "groupby('k', default=0)", "indent", "indent(2)", "indent(2, true)", "indent('>', first=true, blank=true)", "int", "int(9)", "int(base=16)", "join", "join(', ')", "join('-', attribute='k')", "last", "length", "list", "lower", "items|list", "map('upper')|list", "map('int')|list", "map(attribute='k')|list", "map(attribute='k', default='q')|list", "map('string')|join('|')", "map('length')|list", "map('default', 'z')|list", "min", "max", "min(attribute='k')", "max(case_sensitive=true)", "pprint", "reject('none')|list", "rejectattr('k')|list", "replace('a', 'b')", "replace('a', 'bb', 1)", "replace('', '.')", "reverse", "reverse|list", "round", "round(1)", "round(-1)", "round(1, 'floor')", "round(method='ceil')", "safe", "select('string')|list", "select|list", "select('gt', 1)|list", "selectattr('k', 'equalto', 1)|list", "selectattr('k', 'defined')|list", "selectattr('k')|list", "slice(2)|list", "slice(3, 'f')|list", "sort", "sort(reverse=true)", "sort(attribute='k')", "sort(case_sensitive=true)", "string", "striptags", "sum", "sum(attribute='k')", "sum(start=1)", "title", "trim", "trim('a ')", "truncate(5)", "truncate(6, true)", "truncate(5, false, '..', 0)", "unique|list", "unique(attribute='k')|list", "upper", "urlencode", "wordcount", "wordwrap(6)", "wordwrap(4, false)", "xmlattr", "tojson", "tojson(indent=2)", "tojson(indent=4, sort_keys=true)", "tojson(separators=(',', ':'))", "tojson(ensure_ascii=true)", "filesizeformat", "filesizeformat(true)", "format('a', 2)", "format(name='q')", "urlize"]
TESTS = ["defined", "undefined", "none", "boolean", "true", "false", "integer", "float", "number", "string", "mapping", "iterable", "sequence", "callable", "odd", "even", "divisibleby 3", "divisibleby(2)", "lower", "upper", "in [1, 'a', none]", "in 'abc'", "in d", "eq 1", "equalto('a')", "ne 1", "gt 2", "lessthan(3)", "ge 1", "sameas true", "sameas none", "escaped", "filter", "test"]


class Generator:
    def __init__(self, seed, works=None):
        """works says whether an expression can be evaluated with these variables; others are then rare."""
        self.r = random.Random(seed)
        self.works = works
        self.loops = 0
        self.names = list(NAMES)

    def pick(self, options):
        return self.r.choice(options)

    def chance(self, p):
        return self.r.random() < p

    # Values

    def value(self, depth=2):
        kind = self.r.randrange(9 if depth else 6)
        if kind < 2:
            return self.pick(WORDS)
        if kind == 2:
            return self.pick([0, 1, 2, 3, -1, 7, 100, 2**40, -5])
        if kind == 3:
            return self.pick([0.5, -2.25, 1e-7, 1.5e300, 3.14159, 2.675])
        if kind == 4:
            return self.pick([True, False, None])
        if kind == 5:
            return self.pick(WORDS)
        if kind == 6:
            return [self.value(depth - 1) for _ in range(self.r.randrange(4))]
        if kind == 7:
            return {self.pick(["k", "a", "x", "items", "b c", "role", "content"]): self.value(depth - 1) for _ in range(self.r.randrange(4))}
        return [{"k": self.value(0), "v": self.value(0)} for _ in range(self.r.randrange(4))]

    def variables(self):
        return {
            "s": self.pick(WORDS),
            "t": self.pick(WORDS),
            "n": self.pick([0, 1, 2, 3, -1, 7, 12, 255]),
            "m": self.pick([1, 2, 3, 5]),
            "f": self.pick([0.5, -2.25, 3.75, 1e-7, 12345.678]),
            "l": self.value(2) if self.chance(0.3) else [self.value(1) for _ in range(self.r.randrange(5))],
            "d": {"k": self.value(1), "a": self.value(1), "name": self.pick(WORDS)},
            "msgs": [{"role": self.pick(["user", "assistant", "system", "tool"]), "content": self.pick(WORDS), "k": self.pick([1, 2, "B", "a"])} for _ in range(self.r.randrange(4))],
            "none_v": None,
            "flag": self.chance(0.5),
            "deep": self.value(3),
        }

    # Expressions

    def literal(self):
        kind = self.r.randrange(8)
        if kind < 3:
            return self.quoted(self.pick(WORDS))
        if kind == 3:
            return self.pick(["0", "1", "2", "3", "7", "10", "1_000", "0x1F", "0b101", "123456789012345678901234567890"])
        if kind == 4:
            return self.pick(["0.5", "3.0", "1e3", "2.5e-7", "1.0e16", "100.25", "1e22"])
        if kind == 5:
            return self.pick(["true", "False", "none", "None", "True"])
        if kind == 6:
            return self.pick(["[]", "{}", "()", "(1,)", "[1, 2, 3]", "{'a': 1, 'k': 2}", "{1: 'x', 'b': [2]}", "['b', 'A', 'c']", "[{'k': 2}, {'k': 1}]", "(1, 'two', 3.0)"])
        return self.pick(["range(4)", "range(1, 9, 3)", "range(5, 0, -2)", "dict(a=1, b='q')", "'a' 'b'"])

    def quoted(self, text):
        quote = self.pick(["'", '"'])
        body = text.replace("\\", "\\\\").replace(quote, "\\" + quote)
        if self.chance(0.7):
            body = body.replace("\n", "\\n").replace("\t", "\\t")
        return quote + body + quote

    def name(self):
        return self.pick(self.names)

    def expr(self, depth=3):
        for _ in range(4):
            expr = self.any_expr(depth)
            if not self.works or depth < 1 or self.works(expr):
                return expr
        return self.name()

    def any_expr(self, depth):
        if depth <= 0:
            return self.name() if self.chance(0.6) else self.literal()
        kind = self.r.randrange(20)
        sub = lambda: self.expr(depth - 1)
        if kind < 2:
            return self.name()
        if kind == 2:
            return self.literal()
        if kind == 3:
            return f"{sub()} {self.pick(['+', '-', '*', '/', '//', '%', '~', '~', '+'])} {sub()}"
        if kind == 4:
            return f"{sub()} {self.pick(['==', '!=', '<', '<=', '>', '>=', 'in', 'not in'])} {sub()}"
        if kind == 5:
            return f"({sub()} {self.pick(['and', 'or'])} {sub()})"
        if kind == 6:
            return self.pick(["not ", "-", "+", ""]) + sub()
        if kind == 7:
            return f"({sub()} if {sub()}{self.pick([f' else {sub()}', f' else {sub()}', ''])})"
        if kind in (8, 9, 10):
            return f"{self.primary(depth)}|{self.pick(FILTERS)}"
        if kind == 11:
            return f"{self.primary(depth)} is {self.pick(['', '', 'not '])}{self.pick(TESTS)}"
        if kind in (12, 13):
            return self.method(depth)
        if kind == 14:
            part = lambda: self.pick(["", "", "1", "-1", "0", "2", "n", "-3"])
            step = self.pick(["", "", ":", ":-1", ":2", ":-2"])
            # Slices of constants are another matter: jinja2 folds those that fail to nothing.
            return f"{self.pick(['s', 't', 'l', 'msgs', 'd.name'])}[{part()}:{part()}{step}]"
        if kind == 15:
            return f"{self.primary(depth)}[{self.pick(['0', '-1', '1', 'n', quote_of(self.pick(['k', 'a', 'items', 'role'])), sub()])}]"
        if kind == 16:
            return f"{self.primary(depth)}.{self.pick(['k', 'a', 'items', 'role', 'content', 'keys', '0', 'x', 'name'])}{self.pick(['', '', '()'])}"
        if kind == 17:
            return self.pick([f"[{sub()}, {sub()}]", f"({sub()}, {sub()})", f"{{'k': {sub()}, 'z': {sub()}}}", f"[{sub()}]"])
        if kind == 18:
            return self.pick(["d.items()|list", "d.get('k')", "d.get('zz', 1)", "msgs[0].content", "msgs|map(attribute='role')|join(',')", "msgs|selectattr('role', 'equalto', 'user')|list|length", "d.keys()|list", "d.values()|list", "namespace(a=1).a", "n ** m", "2 ** n", "'%s %5.2f %x' % (s, f, n)", "'%(k)s' % {'k': n}", "'{:>6}|{!r}'.format(s, t)", "'{:,}'.format(n * 12345)", "'{:.2f}'.format(f)", "strftime_now('%Y-%m-%d %H:%M')", "msgs[::-1]", "loop.index" if self.loops else "n", "loop.last" if self.loops else "m", "loop.cycle('o', 'e')" if self.loops else "s"])
        return f"{sub()} {self.pick(['<', '==', 'in'])} {sub()} {self.pick(['<', '!=', '>='])} {sub()}"

    def primary(self, depth):
        return self.pick([self.name(), self.name(), self.literal(), f"({self.expr(depth - 1)})"])

    def method(self, depth):
        name, spec = self.pick(STR_METHODS)
        args = []
        if spec == "**":
            args = [self.expr(0), f"name={self.expr(0)}"]
        elif spec:
            for i, kind in enumerate(spec.replace("?", "")):
                optional = "?" in spec and spec.replace("?", "").index(kind) == i and f"{kind}?" in spec
                if optional and self.chance(0.5):
                    break
                args.append({"s": self.quoted(self.pick(["a", " ", ",", "l", "x", "He", "ß", "- ", "ab"])), "i": self.pick(["0", "1", "2", "5", "10", "-1", "n"]), "c": self.pick(["'*'", "' '", "'é'"]), "b": "true", "L": self.pick(["['a', 'b']", "l", "s", "d"])}[kind])
        target = self.pick(["s", "t", self.quoted(self.pick(WORDS)), f"({self.expr(depth - 1)})"])
        return f"{target}.{name}({', '.join(args)})"

    # Statements

    def text(self):
        return self.pick(["x", " ", "\n", "  \n", "A\n", "\n\n", " - ", "\t", "y\n  ", "", "{ ", "%}", "}}", "#}"])

    def tag(self, body):
        left = self.pick(["{%", "{%", "{%-", "{%+"])
        right = self.pick(["%}", "%}", "-%}"])
        return f"{left} {body} {right}"

    def out(self, body):
        return f"{self.pick(['{{', '{{', '{{-'])} {body} {self.pick(['}}', '}}', '-}}'])}"

    def body(self, depth):
        return "".join(self.statement(depth) for _ in range(self.r.randrange(1, 4)))

    def target(self):
        return self.pick(["x", "y", "s", "n", "item", "q"])

    def statement(self, depth):
        kind = self.r.randrange(18 if depth > 0 else 5)
        if kind < 2:
            return self.text()
        if kind < 4:
            return self.out(self.expr(self.r.randrange(1, 4)))
        if kind == 4:
            name = self.target()
            self.names.append(name)
            return self.tag(f"set {name} = {self.expr(2)}")
        if kind in (5, 6, 7):
            return self.loop(depth)
        if kind in (8, 9):
            otherwise = self.pick(["", f"{self.tag('else')}{self.body(depth - 1)}", f"{self.tag('elif ' + self.expr(1))}{self.body(depth - 1)}{self.tag('else')}{self.body(depth - 1)}"])
            return f"{self.tag('if ' + self.expr(2))}{self.body(depth - 1)}{otherwise}{self.tag('endif')}"
        if kind == 10:
            return self.macro(depth)
        if kind == 11:
            return f"{self.tag('filter ' + self.pick(['upper', 'trim', 'replace(' + quote_of('a') + ', ' + quote_of('b') + ')', 'indent(2)', 'length', 'title|trim']))}{self.body(depth - 1)}{self.tag('endfilter')}"
        if kind == 12:
            name = self.target()
            self.names.append(name)
            return f"{self.tag('set ' + name + self.pick(['', '|upper', '|trim', '|length']))}{self.body(depth - 1)}{self.tag('endset')}{self.out(name)}"
        if kind == 13:
            return f"{self.tag('with x = ' + self.expr(1) + ', y = x')}{self.body(depth - 1)}{self.out('x')}{self.tag('endwith')}"
        if kind == 14:
            ns = self.pick(["ns", "st"])
            loop = f"{self.tag('for i in ' + self.pick(['range(3)', 'l', 'msgs', 's']))}{self.tag(f'set {ns}.v = {ns}.v ~ ' + self.pick(['i', 'loop.index0', 'n', quote_of('z')]))}{self.tag('endfor')}"
            return f"{self.tag(f'set {ns} = namespace(v={self.expr(1)})')}{loop}{self.out(f'{ns}.v')}"
        if kind == 15:
            return self.pick(["{# comment #}", "{#- c -#}", "{# a\nb #}\n", "{% raw %}{{ x }}{% endraw %}", "{%- raw -%} {% if %} {%- endraw %}\n", f"{self.tag('generation')}{self.body(depth - 1)}{self.tag('endgeneration')}", f"{self.tag('autoescape ' + self.pick(['true', 'false', 'flag']))}{self.body(depth - 1)}{self.tag('endautoescape')}", f"{self.tag('block b' + str(self.r.randrange(1000)))}{self.body(depth - 1)}{self.tag('endblock')}"])
        if kind == 16 and self.loops:
            return self.tag(f"if {self.expr(1)}") + self.tag(self.pick(["break", "continue"])) + self.tag("endif")
        if kind == 17:
            return self.tag("set " + self.pick(["x, y = (1, 2)", "x, y = n, s", "(x, y) = (s ~ ',').split(',', 1)", "x = 1, 2"])) + self.out("x")
        return self.out(self.expr(2))

    def loop(self, depth):
        saved = list(self.names)
        target = self.pick(["x", "item", "m", "k, v", "i"])
        source = self.pick(["l", "msgs", "range(3)", "d", "s", "d.items()", "d|dictsort", "msgs|map(attribute='role')", "l|reverse", "'abc'", "[[1, 2], [3, 4]]", "missing", self.expr(1), "l if flag else msgs"])
        if "," in target:
            source = self.pick(["d.items()", "d|items", "[[1, 2], ['a', 'b']]", "msgs|groupby('role')", "msgs|map(attribute='k')|batch(2, 0)"])
        if "," not in target and self.works and not self.works(f"({source})|list"):
            source = "msgs"
        test = f" if {self.expr(1)}" if self.chance(0.2) else ""
        self.names += [part.strip() for part in target.split(",")]
        self.loops += 1
        loop_part = self.out("loop." + self.pick(["index", "index0", "first", "last", "length", "revindex", "revindex0", "previtem", "nextitem", "depth", "changed(n)", "cycle(1, 2)", "nope"])) if self.chance(0.4) else ""
        body = self.body(depth - 1)
        self.loops -= 1
        self.names = saved
        otherwise = f"{self.tag('else')}{self.body(depth - 1)}" if self.chance(0.2) else ""
        if self.chance(0.06):
            return f"{self.tag('for x in [[1, [2]], [3]] recursive')}{{{{ loop.depth }}}}{{{{ x if x is number else loop(x) }}}}{self.tag('endfor')}"
        return f"{self.tag(f'for {target} in {source}{test}')}{body}{loop_part}{otherwise}{self.tag('endfor')}"

    def macro(self, depth):
        name = self.pick(["mac", "fn"])
        params = self.pick(["", "p", "p, q=1", "p='d', q=none", "p, q=p"])
        special = self.pick(["", "", self.out("varargs"), self.out("kwargs"), self.out("caller()")])
        saved = list(self.names)
        self.names += ["p", "q"]
        loops, self.loops = self.loops, 0
        body = self.body(depth - 1) + special
        self.loops = loops
        self.names = saved
        calls_back = "caller" in special
        fitting = [""] if params == "" else ["n"] if params == "p" else ["", self.expr(1), self.expr(1) + ", 2", "q=3", "p=n"]
        call = f"{name}({self.pick(fitting if self.chance(0.9) else ['1, 2, 3', 'z=1', '*l', '**d', '', 'n'])})"
        use = f"{self.tag('call' + self.pick(['', '', '(a=n)']) + ' ' + call)}{self.body(depth - 1)}{self.tag('endcall')}" if calls_back or self.chance(0.05) else self.out(call)
        return f"{self.tag(f'macro {name}({params})')}{body}{self.tag('endmacro')}{use}"

    def template(self):
        return "".join(self.statement(3) for _ in range(self.r.randrange(1, 5)))


def quote_of(text):
    return f"'{text}'"
