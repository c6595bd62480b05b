/** Conversations: what the model is given, what is printed, and who is refused. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { SluiceError } from "../../src/errors.ts";
import { FakeOutput, FakeSignals, fakeLibrary, fakeTokenizer, input, run } from "./fake-world.ts";

/** The text behind the ids that each answer was generated from. */
function prompts({ calls }: ReturnType<typeof fakeLibrary>): readonly string[] {
  return calls.generate.map(({ prompt }) => String.fromCodePoint(...(prompt as readonly number[])));
}

test("each line is answered, and the next prompt goes on where the last answer ended", async () => {
  const library = fakeLibrary({ says: ["Hello.", "Fine."] });
  const stdin = input(["Hi\nHow ", "are you?\n\n"]);
  const ended = await run(["chat", "m", "--system", "Be brief."], { library, stdin });
  assert.equal(ended, { code: 0, stdout: "Hello.\nFine.\n", stderr: "" });
  const first = "system: Be brief.\nuser: Hi\nassistant: ";
  assert.equal(prompts(library), [first, `${first}Hello.\nuser: How are you?\nassistant: `]);
  assert.equal(library.calls.sessions, [{ sequences: 1 }]);
  assert.is(library.calls.disposedSessions, 1);
  assert.is(library.calls.disposedModels, 1);
});

test("the template's text is encoded as it is, and everything that ends a text ends an answer", async () => {
  const library = fakeLibrary({ eos: [7, 8] });
  const line = ["chat", "m", "--stop-token", "9", "--context", "99", "--max-new-tokens", "5", "--temperature", "0.7"];
  await run(line, { library, stdin: input(["Hi"]) });
  const { prompt, options } = library.calls.generate[0] ?? { prompt: [], options: {} };
  assert.is(prompt[0], "u".codePointAt(0));
  assert.equal(options.stopTokens, [9, 7, 8, 2]);
  assert.is(options.maxNewTokens, 5);
  assert.is(options.temperature, 0.7);
  assert.is(options.context, undefined);
  assert.equal(library.calls.sessions, [{ context: 99, sequences: 1 }]);
});

test("an end of text that the model has no row for is left out: it is never said", async () => {
  const library = fakeLibrary({ eos: [7], tokenizer: { ...fakeTokenizer(), eosTokenId: 1e6 } });
  await run(["chat", "m"], { library, stdin: input(["Hi"]) });
  assert.equal(library.calls.generate[0]?.options.stopTokens, [7]);
});

test("bundles go with a conversation", async () => {
  const library = fakeLibrary({ says: ["Hello."] });
  const line = ["chat", "m", "--with", "A:as=x", "--strength", "x/push=0.5"];
  const { code, stdout } = await run(line, { library, stdin: input(["Hi"]) });
  assert.equal([code, stdout], [0, "Hello.\n"]);
  const [made] = library.calls.with;
  assert.equal(made?.bundles, [{ file: "A", prefix: "x" }]);
  assert.is(made?.settings.strengths?.get("x/push"), 0.5);
});

test("a model without a template or a tokenizer is refused before anyone types a line", async () => {
  for (const [tokenizer, says, expected] of [
    [fakeTokenizer({ template: false }), /no chat template/, 2],
    [null, /no tokenizer/, 1],
  ] as const) {
    const library = fakeLibrary({ tokenizer });
    const stdin = input([], { open: true, isTTY: true });
    const { code, stdout, stderr } = await run(["chat", "m"], { library, stdin });
    assert.is(code, expected);
    assert.is(stdout, "");
    assert.match(stderr, says);
    assert.not.match(stderr, />/);
    assert.is(library.calls.sessions.length, 0);
    assert.is(library.calls.disposedModels, 1);
  }
});

test("a person at a terminal is invited to type, on stderr; a pipe is not", async () => {
  const ended = await run(["chat", "m"], { stdin: input(["Hi\n", "And?\n"], { isTTY: true }) });
  assert.equal(ended, { code: 0, stdout: "abc\nabc\n", stderr: "> > > \n" });
  assert.equal(await run(["chat", "m"], { stdin: input([]) }), { code: 0, stdout: "", stderr: "" });
});

test("Ctrl-C ends the conversation, while it waits and in the middle of an answer", async () => {
  const signals = new FakeSignals();
  const library = fakeLibrary();
  const waiting = run(["chat", "m"], { library, signals, stdin: input(["Hi\n"], { open: true }) });
  setTimeout(() => signals.send("SIGINT"), 20);
  assert.equal(await waiting, { code: 130, stdout: "abc\n", stderr: "" });
  assert.is(library.calls.disposedSessions, 1);

  const talking = fakeLibrary({ says: ["abcdef"], beforeToken: (index) => index === 2 && signals.send("SIGINT") });
  const cut = await run(["chat", "m"], { library: talking, signals, stdin: input(["Hi\n"], { open: true }) });
  assert.equal(cut, { code: 130, stdout: "ab\n", stderr: "" });
  assert.is(talking.calls.disposedSessions, 1);
});

test("an answer that fails ends the conversation, and the input is given up", async () => {
  let destroyed = false;
  const stdin = { ...input(["Hi\n"], { open: true }), destroy: () => (destroyed = true) };
  const library = fakeLibrary({
    beforeToken() {
      throw new SluiceError("context_overflow", "The prompt has 9 tokens and the context holds 8");
    },
  });
  const ended = await run(["chat", "m"], { library, stdin });
  assert.equal(ended, { code: 1, stdout: "", stderr: "sluice: The prompt has 9 tokens and the context holds 8\n" });
  assert.is(destroyed, true);
});

test("a reader that goes away ends the conversation", async () => {
  const library = fakeLibrary({ beforeToken: () => new Promise((resolve) => setTimeout(resolve)) });
  const stdin = input(["Hi\n"], { open: true });
  assert.is((await run(["chat", "m"], { library, stdin, stdout: new FakeOutput({ writes: 1 }) })).code, 0);
});

test.run();
