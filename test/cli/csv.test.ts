import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseCsv } from "../../src/cli/csv.ts";
import { SluiceError } from "../../src/errors.ts";

test("wanted columns, with quotes, commas, line ends and blank lines", () => {
  const { names, rows, columns } = parseCsv('\ufeffid,text\r\n1,"a, ""b""\nc"\r\n\r\n2,\r\n"",d', "t.csv", [
    "text",
    "none",
  ]);
  assert.equal(names, ["id", "text"]);
  assert.is(rows, 3);
  assert.equal([...columns], [["text", ['a, "b"\nc', "", "d"]]]);
});

test("errors name the line", () => {
  const refused = (content: string, says: RegExp): void =>
    assert.throws(
      () => parseCsv(content, "t.csv", []),
      (error: unknown) => error instanceof SluiceError && error.code === "bad_file" && says.test(error.message),
      content,
    );
  refused("a,b,a\n", /two columns "a"/);
  refused('a,b\n"x\ny",1\n1\n', /line 4: 1 fields, but the first line names 2/);
  refused('a\n"x\ny" z\n', /line 2: text follows/);
  refused('a\n"x""\n', /line 2: a quote is not closed/);
});

test("a megabyte of any shape takes less than a second", () => {
  const many = 500_000;
  const shapes = {
    "many columns": `${Array.from({ length: many / 4 }, (_, i) => i).join()}\n${",".repeat(many / 4 - 1)}`,
    "one name many times": "a,".repeat(many),
    "many rows": `a\n${"1\n".repeat(many)}`,
    "many quotes": `a\n"${'""'.repeat(many)}"\n`,
    "many quoted fields": `a\n${'"",'.repeat(many)}\n`,
  };
  for (const [what, content] of Object.entries(shapes)) {
    const before = process.cpuUsage().user;
    try {
      parseCsv(content, "t.csv", ["a"]);
    } catch (error) {
      assert.instance(error, SluiceError, what);
    }
    assert.ok(process.cpuUsage().user - before < 1e6, what);
  }
});

test.run();
