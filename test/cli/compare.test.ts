/** compare: the call of the library, and the layout on terminals of several widths. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { cellsOf, sideBySide, wrapCells } from "../../src/cli/columns.ts";
import { FakeOutput } from "./fake-process.ts";
import { fakeLibrary, run } from "./fake-world.ts";

const says = ["a b", "a cat"];

test("the report: both sides, where they part, how far, and what moved", async () => {
  const library = fakeLibrary({ says });
  const { code, stdout, stderr } = await run(["compare", "M", "hi", "--with", "B"], { library });
  assert.is(code, 0, stderr);
  const rule = "─".repeat(38);
  assert.equal(stdout.split("\n"), [
    `${"plain".padEnd(38)} │ edited`,
    `${rule}─┼─${rule}`,
    `${"a b".padEnd(38)} │ a cat`,
    "",
    "They are the same for 1 new token.",
    "",
    "KL(plain ‖ edited) of the next token's distribution, in nats",
    "  0.2500 after the prompt's last token",
    "  1.25e-5 on average over its 3 tokens",
    "",
    "Next tokens whose probability moved most",
    "  id  token    plain   edited    change",
    '  97  "a"    50.00 %  25.00 %  −25.00 %',
    '  10  "\\n"    0.01 %  12.50 %  +12.49 %',
    "",
  ]);
});

test("ids stay ids, and without a tokenizer there is no column for text", async () => {
  const library = fakeLibrary({ says, tokenizer: null });
  const { stdout } = await run(["compare", "M", "--tokens", "5,6", "--with", "B"], { library });
  assert.match(stdout, /^97 32 98 +│ 97 32 99 97 116$/m);
  assert.match(stdout, /^ {2}id +plain +edited +change\n {2}97 +50\.00 % +25\.00 % +−25\.00 %$/m);
  assert.equal(library.calls.compare[0]?.prompt, [5, 6]);
});

test("options reach the library; --json is the answer itself", async () => {
  const library = fakeLibrary({ says });
  const line =
    "compare M hi --with B:as=x --strength x/a=0.5 --max-new-tokens 3 --temperature 1 --seed 4 --prompt-length 2";
  const { stdout } = await run([...line.split(" "), "--top", "1", "--json"], { library });
  const { promptLength, maxNewTokens, temperature, seed, most } = library.calls.compare[0]?.options ?? {};
  assert.equal([promptLength, maxNewTokens, temperature, seed, most], [2, 3, 1, 4, 1]);
  assert.equal(library.calls.with[0]?.bundles, [{ file: "B", prefix: "x" }]);
  assert.equal([...(library.calls.with[0]?.settings.strengths ?? [])], [["x/a", 0.5]]);
  const { plain, edited, kl_nats } = JSON.parse(stdout);
  assert.equal([plain.text, edited.text, kl_nats.last], ["a b", "a cat", 0.25]);
});

test("without a bundle there is nothing to compare with", async () => {
  const { code, stderr } = await run(["compare", "M", "hi"]);
  assert.is(code, 2);
  assert.match(stderr, /--with BUNDLE is missing/);
});

test("no line is wider than the screen, and none is lost", async () => {
  const long = "The quick brown 狐狸 jumps over theverylongwordthatnobodycanreadandthatfitsnowhere ".repeat(3);
  for (const width of [35, 80, 120]) {
    const lines = sideBySide(
      { title: "plain", text: long },
      { title: "edited", text: `é\t\u001b[31m\n\n${long}` },
      width,
    );
    for (const line of lines.split("\n")) assert.ok(cellsOf(line) <= width, `${width}: ${line}`);
    const left = lines
      .split("\n")
      .slice(2)
      .map((line) => line.split("│")[0]);
    assert.is(left.join("").replace(/\s/g, ""), long.replace(/\s/g, ""));
    assert.not.ok(lines.includes("\u001b"), "a text moves no cursor");
  }
});

test("lines break at spaces, and words that fit nowhere anywhere", () => {
  assert.equal(wrapCells("ab cd ef", 5), ["ab cd", "ef"]);
  assert.equal(wrapCells("abcdefgh ij", 5), ["abcde", "fgh", "ij"]);
  assert.equal(wrapCells("日本語", 5), ["日本", "語"]);
  assert.equal(wrapCells("a\n\nb", 5), ["a", "", "b"]);
  assert.equal(wrapCells("", 5), [""]);
});

test("the report fills the screen that there is", async () => {
  const stdout = new FakeOutput({ columns: 120 });
  await run(["compare", "M", "hi", "--with", "B"], { stdout, library: fakeLibrary({ says }) });
  assert.match(stdout.text, /^plain {53} {1}│ edited$/m);
});

test.run();
