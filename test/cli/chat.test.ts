/** Conversations: the model's input, the output, and refusals. */

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { LoadedModel } from "../../src/cli/context.ts";
import type { LineEvent, LineSource } from "../../src/cli/streams.ts";
import { SluiceError } from "../../src/errors.ts";
import { FakeOutput, FakeSignals, input } from "./fake-process.ts";
import { fakeLibrary, fakeTokenizer, run } from "./fake-world.ts";

const INTERRUPT = Symbol("Ctrl-C");

/** A person who types these lines. */
function typed(lines: readonly (string | typeof INTERRUPT)[], prompts: string[] = []): LineSource {
  const rest = [...lines];
  return {
    async next(prompt): Promise<LineEvent> {
      prompts.push(prompt);
      const line = rest.shift();
      if (line === undefined) return { kind: "end" };
      return typeof line === "string" ? { kind: "line", text: line } : { kind: "interrupt", gaveUp: false };
    },
    close() {
      // Nothing is held.
    },
  };
}

/** The text behind the ids that each answer was generated from. */
function prompts({ calls }: ReturnType<typeof fakeLibrary>): readonly string[] {
  return calls.generate.map(({ prompt }) => String.fromCodePoint(...(prompt as readonly number[])));
}

test("each line is answered, and the next prompt continues after the last answer", async () => {
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

test("a model without a template or a tokenizer is refused before the first line", async () => {
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

test("a terminal shows how to begin; a pipe does not", async () => {
  const prompts: string[] = [];
  const ended = await run(["chat", "m"], { openEditor: () => typed(["Hi", "And?"], prompts) });
  assert.equal([ended.code, ended.stdout], [0, "abc\nabc\n"]);
  assert.match(ended.stderr, /\/help/);
  assert.equal(prompts, ["> ", "> ", "> "]);
  assert.equal(await run(["chat", "m"], { stdin: input([]) }), { code: 0, stdout: "", stderr: "" });
});

test("at a terminal Ctrl-C ends the answer: the generated part stays in the conversation", async () => {
  const signals = new FakeSignals();
  const library = fakeLibrary({
    says: ["abcdef", "fine"],
    beforeToken: (index) => index === 2 && library.calls.generate.length === 1 && signals.send("SIGINT"),
  });
  const ended = await run(["chat", "m"], { library, signals, openEditor: () => typed(["Hi", "And?"]) });
  assert.equal([ended.code, ended.stdout], [0, "ab\nfine\n"]);
  assert.is(prompts(library)[1], "user: Hi\nassistant: ab\nuser: And?\nassistant: ");
});

test("at the prompt Ctrl-C says how to leave, and leaves when it comes again", async () => {
  const ended = await run(["chat", "m"], {
    openEditor: () => typed(["Hi", INTERRUPT, "And?", INTERRUPT, INTERRUPT, "no"]),
  });
  assert.equal([ended.code, ended.stdout], [0, "abc\nabc\n"]);
  assert.match(ended.stderr, /Ctrl-C again/);
});

test("in a script Ctrl-C ends the command, while it waits and in the middle of an answer", async () => {
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

test("a message of several lines: a backslash at the end, or quotes around it", async () => {
  const library = fakeLibrary();
  const stdin = input(["one \\\ntwo\n", '"""three\n  four\n"""\n', '"""five"""\n', '"""\nsix\n\nseven\n"""\n']);
  await run(["chat", "m"], { library, stdin });
  const said = prompts(library).at(-1) ?? "";
  assert.equal(
    said
      .split("user: ")
      .slice(1)
      .map((turn) => turn.split("\nassistant: ")[0]),
    ["one \ntwo", "three\n  four", "five", "six\n\nseven"],
  );
});

test("a full context drops the oldest turns with a notice, never the system message", async () => {
  const library = fakeLibrary({ says: ["yes"] });
  const stdin = input(["first message\n", "second message\n", "third message\n", "fourth message\n"]);
  const line = ["chat", "m", "--system", "Be brief.", "--context", "110", "--max-new-tokens", "20"];
  const { code, stderr } = await run(line, { library, stdin });
  assert.is(code, 0);
  const last = prompts(library).at(-1) ?? "";
  assert.is(last.startsWith("system: Be brief.\nuser: third message\n"), true, last);
  assert.match(last, /fourth message\nassistant: $/);
  assert.match(stderr, /context of 110 tokens is full: the model no longer sees the first 2 turns/);
  assert.is(
    prompts(library).every((prompt) => prompt.length + 20 <= 110),
    true,
  );
});

test("a message that does not fit alone is refused: a terminal continues, a script ends", async () => {
  const long = "x".repeat(200);
  const person = fakeLibrary();
  const ended = await run(["chat", "m", "--context", "100"], {
    library: person,
    openEditor: () => typed([long, "Hi"]),
  });
  assert.equal([ended.code, ended.stdout], [0, "abc\n"]);
  assert.match(ended.stderr, /of 100 tokens of context/);
  assert.equal(prompts(person), ["user: Hi\nassistant: "]);
  const script = await run(["chat", "m", "--context", "100"], { stdin: input([`${long}\nHi\n`]) });
  assert.equal([script.code, script.stdout], [1, ""]);
});

test("the model's answers keep their ids, even if their text would be encoded differently", async () => {
  // A capital A is read as one id and said as another.
  const plain = fakeTokenizer();
  const tokenizer: ReturnType<typeof fakeTokenizer> = {
    ...plain,
    encode: (text, options) => plain.encode(text, options).map((id) => (id === 65 ? 7 : id)),
    decode: (ids, options) => plain.decode(ids, options).replaceAll("\u0007", "A"),
  };
  const library = fakeLibrary({ tokenizer, says: ["BANANA"] });
  await run(["chat", "m"], { library, stdin: input(["A?\nA!\n"]) });
  const ids = library.calls.generate[1]?.prompt as readonly number[];
  assert.is(ids.filter((id) => id === 65).length, 3);
  assert.is(ids.filter((id) => id === 7).length, 2);
});

test("/reset, /system and /regenerate change what the next answer sees", async () => {
  const library = fakeLibrary({ says: ["one", "two", "three", "four"] });
  const stdin = input(["a\n/regenerate\n/system Be kind.\nb\n/reset\nc\n"]);
  const { code } = await run(["chat", "m", "--temperature", "1", "--seed", "5"], { library, stdin });
  assert.is(code, 0);
  assert.equal(prompts(library), [
    "user: a\nassistant: ",
    "user: a\nassistant: ",
    "system: Be kind.\nuser: a\nassistant: two\nuser: b\nassistant: ",
    "system: Be kind.\nuser: c\nassistant: ",
  ]);
  assert.equal(
    library.calls.generate.map(({ options }) => options.seed),
    [5, 6, 5, 5],
  );
});

test("/strength, /alpha and /bundle act during a conversation, and a later bundle keeps set values", async () => {
  const stage = { id: "push", kind: "affine", method: "addition", strength: 1, alpha: 1 };
  const library = fakeLibrary({ stages: [stage] as unknown as LoadedModel["stages"] });
  const stdin = input(["/strength push 0.5\n/alpha 2\nHi\n/bundle more.safetensors:as=x\nAnd?\n"]);
  const { code, stderr } = await run(["chat", "m", "--with", "A"], { library, stdin });
  assert.is(code, 0, stderr);
  assert.equal(library.calls.set, [
    { id: "push", strength: 0.5 },
    { id: "push", alpha: 2 },
  ]);
  assert.match(stderr, /push \(addition\): strength 0\.5, alpha 2/);
  const [, later] = library.calls.with;
  assert.equal(later?.bundles, [
    { file: "A", prefix: null },
    { file: "more.safetensors", prefix: "x" },
  ]);
  assert.is(later?.settings.strengths?.get("push"), 0.5);
  assert.is(later?.settings.params?.get("push")?.alpha, 2);
  assert.is(library.calls.disposedSessions, 2);
});

test("/save writes the conversation once and never over another file", async () => {
  const folder = await mkdtemp(join(tmpdir(), "chat-"));
  const path = join(folder, "talk.json");
  const stdin = input([`Hi\n/save ${path}\nAnd?\n/save ${path}\n`]);
  assert.is((await run(["chat", "m", "--system", "S"], { stdin })).code, 0);
  const saved = JSON.parse(await readFile(path, "utf8"));
  assert.equal(saved.messages, [
    { role: "system", content: "S" },
    { role: "user", content: "Hi" },
    { role: "assistant", content: "abc" },
    { role: "user", content: "And?" },
    { role: "assistant", content: "abc" },
  ]);
  assert.is(saved.model, "m");
  const again = await run(["chat", "m"], { stdin: input([`/save ${path}\n`]) });
  assert.is(again.code, 2);
  assert.match(again.stderr, /exists already/);
  await rm(folder, { recursive: true });
});

test("an unknown command is not a message: it is named, with the nearest one", async () => {
  const library = fakeLibrary();
  const { code, stderr } = await run(["chat", "m"], { library, openEditor: () => typed(["/strenght x 1", "//path"]) });
  assert.is(code, 0);
  assert.match(stderr, /unknown command \/strenght\n {2}Did you mean \/strength\?/);
  assert.equal(prompts(library), ["user: /path\nassistant: "]);
  assert.is((await run(["chat", "m"], { stdin: input(["/nope\n"]) })).code, 2);
});

test("the model's own defaults apply, the command line overrides them", async () => {
  const generationDefaults = { temperature: 0.6, topP: 0.9, maxNewTokens: 7, stop: ["END"] };
  const library = fakeLibrary({ generationDefaults });
  await run(["chat", "m", "--top-p", "0.5", "--stop", "\\n"], { library, stdin: input(["Hi\n"]) });
  const options = library.calls.generate[0]?.options;
  assert.equal([options?.temperature, options?.topP, options?.maxNewTokens], [0.6, 0.5, 7]);
  assert.equal(options?.stop, ["\\n", "END"]);
});

test("/set changes how tokens are drawn", async () => {
  const library = fakeLibrary();
  const stdin = input(["/set top_p 0.5\n/set temperature 0.7\n/set max_new_tokens 3\nHi\n"]);
  const { stderr } = await run(["chat", "m"], { library, stdin });
  const options = library.calls.generate[0]?.options;
  assert.equal([options?.topP, options?.temperature, options?.maxNewTokens], [0.5, 0.7, 3]);
  assert.match(stderr, /top_p 0\.5/);
  assert.is((await run(["chat", "m"], { stdin: input(["/set temprature 1\n"]) })).code, 2);
});

test.run();
