/** Finding the command, exit codes, and messages. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { noteKept, noteWanted, noteWritten } from "../../src/cli/written.ts";
import { edgeFitDefaults, generateDefaults } from "../../src/defaults.ts";
import { SluiceError } from "../../src/errors.ts";
import { FakeOutput, FakeSignals, input } from "./fake-process.ts";
import { fakeLibrary, run } from "./fake-world.ts";

test("help goes to stdout, for all commands and for one, in every usual form", async () => {
  for (const argv of [["--help"], ["-h"], ["help"]]) {
    const { code, stdout, stderr } = await run(argv);
    assert.is(code, 0);
    assert.is(stderr, "");
    for (const name of ["generate", "chat", "logits", "capture", "perplexity", "explain", "info"]) {
      assert.match(stdout, new RegExp(`^ {2}${name} `, "m"));
    }
  }
  for (const argv of [
    ["help", "generate"],
    ["generate", "--help"],
    ["generate", "m", "--seed", "3", "-h"],
    ["generate", "--nonsense", "-h"],
  ]) {
    const { code, stdout } = await run(argv);
    assert.is(code, 0);
    assert.match(stdout, /^Usage: sluice generate MODEL \[PROMPT\] \[options\]\n/);
    assert.match(stdout, /--max-new-tokens N +Maximum number of tokens to generate \(default 128\)/);
  }
});

test("help on an option lists the commands that take it", async () => {
  for (const word of ["stride", "--stride"]) {
    const { stdout } = await run(["help", word]);
    assert.is(
      stdout,
      "--stride:\n  perplexity  Tokens that the window moves on long documents (default: half the\n              context)\n",
    );
  }
  assert.match((await run(["help", "tokens"])).stdout, /\n {2}generate[\s\S]*\n {2}profile/);
  const { code, stderr } = await run(["help", "--sead"]);
  assert.equal([code, stderr], [2, "sluice: no command takes --sead\n  Did you mean --seed?\n"]);
});

test("help prints the library's defaults", async () => {
  assert.match((await run(["help", "fit", "edges"])).stdout, new RegExp(`\\(default ${edgeFitDefaults.shortlist}\\)`));
  assert.match((await run(["help", "generate"])).stdout, new RegExp(`\\(default ${generateDefaults.maxNewTokens}\\)`));
});

test("help fits the terminal and is emphasised there, unless NO_COLOR says no", async () => {
  const bold = "\u001b[1m";
  const shown = (await run(["capture", "--help"], { stdout: new FakeOutput({ isTTY: true }) })).stdout;
  assert.ok(shown.includes(bold));
  const lines = shown.replaceAll(bold, "").replaceAll("\u001b[22m", "").split("\n");
  // An example is not broken, so that it can be copied.
  assert.ok(lines.every((line) => line.length <= 80 || line.startsWith("    sluice ")));
  const plain = await run(["capture", "--help"], { stdout: new FakeOutput({ isTTY: true }), env: { NO_COLOR: "1" } });
  assert.not.ok(plain.stdout.includes(bold));
});

test("--version prints the package's version", async () => {
  assert.equal(await run(["--version"], { version: "1.2.3" }), { code: 0, stdout: "1.2.3\n", stderr: "" });
});

test("what cannot be understood exits with 2 before anything is loaded", async () => {
  const refused: readonly (readonly [argv: readonly string[], says: RegExp])[] = [
    [[], /no command was given[\s\S]*generate, chat/],
    [["genrate"], /unknown command "genrate"[\s\S]*Did you mean generate\?/],
    [["zzz"], /There are generate,/],
    [["--json", "info"], /unknown option --json[\s\S]*command comes first/],
    [["help", "explane"], /Did you mean explain\?/],
    [["generate"], /MODEL is missing/],
    [["generate", "m", "a", "b"], /unexpected argument "b"[\s\S]*quotes/],
    [["generate", "m", "a", "--temprature", "1"], /unknown option --temprature[\s\S]*Did you mean --temperature\?/],
    [["generate", "m", "a", "--max", "1"], /Did you mean --max-new-tokens\?/],
    [["generate", "m", "a", "--json=yes"], /--json takes no value/],
    [["generate", "m", "a", "--seed"], /--seed needs a value: --seed S/],
    [["logits", "m", "--tokens", "1", "--out", "--last"], /--out needs a value[\s\S]*--out=--last/],
    [["generate", "m", "a", "--max-new-tokens", "0"], /a whole number of at least 1, not "0"/],
    [["generate", "m", "a", "--max-new-tokens", "1.5"], /a whole number/],
    [["generate", "m", "a", "--temperature", "-1"], /a number of at least 0, not "-1"/],
    [["generate", "m", "a", "--temperature", "warm"], /a number of at least 0/],
    [["generate", "m", "a", "--temperature", "Infinity"], /a number of at least 0/],
    [["generate", "m", "a", "--top-p=-0.1"], /of at least 0 and at most 1/],
    [["generate", "m", "a", "--top-p", "1.01"], /of at least 0 and at most 1/],
    [["generate", "m", "a", "--repetition-penalty", "0"], /above 0/],
    [["generate", "m", "a", "--stop", ""], /--stop is empty/],
    [["generate", "m", "a", "--plan", "fast"], /default, reference or f16-cache, not "fast"/],
    [["generate", "m", "--tokens", ""], /not a token id/],
    [["generate", "m", "--tokens", "1,,2"], /item 2 is empty/],
    [["generate", "m", "--tokens", "1,-2"], /"-2" \(item 2\) is not a token id/],
    [["generate", "m", "--tokens", "1,2.5"], /"2.5"/],
    [["generate", "m", "a", "--tokens", "1"], /which one\?/],
    [["generate", "m", "a", "--prompts", "f"], /--prompts/],
    [["generate", "m", "--tokens", "1", "--prompts", "f"], /--prompts/],
    [["logits", "m", "--tokens", "1"], /--out FILE is missing/],
    [["logits", "m", "--out", "f"], /no tokens were given/],
    [["capture", "m", "--tokens", "1", "--out", "f"], /--site SITE is missing/],
    [["perplexity", "m"], /--texts FILE is missing/],
  ];
  for (const [argv, says] of refused) {
    const library = fakeLibrary();
    const { code, stdout, stderr } = await run(argv, { library });
    assert.is(code, 2, argv.join(" "));
    assert.is(stdout, "");
    assert.match(stderr, says);
    assert.match(stderr, /^sluice: /);
    assert.is(library.calls.load.length, 0);
  }
});

test("a text that begins with a dash goes after --, and the last of two options counts", async () => {
  const library = fakeLibrary();
  await run(["generate", "m", "--seed", "1", "--seed=2", "--", "--help"], { library });
  assert.is(library.calls.generate[0]?.prompt, "--help");
  assert.is(library.calls.generate[0]?.options.seed, 2);
});

test("failed work exits with 1, a foreseen failure in its own words, any other as a defect", async () => {
  const failing = (error: unknown) => ({ ...fakeLibrary(), load: () => Promise.reject(error) });
  const foreseen = new SluiceError("not_found", "m does not exist", { hint: "Look again." });
  const told = await run(["explain", "m"], { library: failing(foreseen) });
  assert.equal(told, { code: 1, stdout: "", stderr: "sluice: m does not exist\n  Look again.\n" });
  const defect = await run(["explain", "m"], { library: failing(new TypeError("x is not a function")) });
  assert.is(defect.code, 1);
  assert.match(defect.stderr, /x is not a function\n {2}This is a defect in Sluice\. SLUICE_DEBUG=1/);
  assert.not.match(defect.stderr, /\.ts:/);
  const traced = await run(["explain", "m"], { library: failing(foreseen), env: { SLUICE_DEBUG: "1" } });
  assert.match(traced.stderr, /m does not exist[\s\S]*main\.test\.ts:/);
  // A usage error that only the library can see is still a usage error.
  assert.is((await run(["explain", "m"], { library: failing(new SluiceError("usage", "no such site")) })).code, 2);
});

test("a reader that goes away stops the work, which is not a failure", async () => {
  const library = fakeLibrary({
    says: ["abcdefghij"],
    beforeToken: () => new Promise((resolve) => setTimeout(resolve)),
  });
  const { code, stdout, stderr } = await run(["generate", "m", "a"], {
    library,
    stdout: new FakeOutput({ writes: 3 }),
  });
  assert.equal({ code, stdout, stderr }, { code: 0, stdout: "abc", stderr: "" });
  assert.is(library.calls.generate[0]?.options.signal?.aborted, true);
  assert.is(library.calls.disposedModels, 1);
});

test("results that cannot be written for another reason are a failure", async () => {
  const { code, stderr } = await run(["explain", "m"], { stdout: new FakeOutput({ writes: 0, code: "ENOSPC" }) });
  assert.is(code, 1);
  assert.match(stderr, /results could not be written: write ENOSPC/);
});

test("Ctrl-C stops the work, keeps what was printed and exits with 130; SIGTERM with 143", async () => {
  for (const [signal, expected] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const) {
    const signals = new FakeSignals();
    const library = fakeLibrary({ says: ["abcdef"], beforeToken: (index) => index === 3 && signals.send(signal) });
    const { code, stdout, stderr } = await run(["generate", "m", "a"], { library, signals });
    assert.equal({ code, stdout, stderr }, { code: expected, stdout: "abc\n", stderr: "" });
    assert.is(library.calls.disposedModels, 1);
    assert.is(signals.watched, false);
  }
});

test("Ctrl-C says what was not written", async () => {
  const signals = new FakeSignals();
  const load = async (): Promise<never> => {
    signals.send("SIGINT");
    throw new SluiceError("aborted", "The operation was aborted");
  };
  const line = ["logits", "m", "--tokens", "1", "--out", "/dev/null"];
  const { code, stdout, stderr } = await run(line, { library: { ...fakeLibrary(), load }, signals });
  assert.equal(
    { code, stdout, stderr },
    { code: 130, stdout: "", stderr: "sluice: interrupted: /dev/null was not written\n" },
  );
});

test("Ctrl-C between two outputs says which was written", async () => {
  const signals = new FakeSignals();
  const load = async (): Promise<never> => {
    noteWritten("/dev/null");
    signals.send("SIGINT");
    throw new SluiceError("aborted", "The operation was aborted");
  };
  const line = ["profile", "m", "--trace", "/dev/null", "--html", "/tmp/sluice-none"];
  const { stderr } = await run(line, { library: { ...fakeLibrary(), load }, signals });
  assert.is(stderr, "sluice: interrupted: /dev/null was written; /tmp/sluice-none was not written\n");
});

test("Ctrl-C names an output that no option names, and what the same line would go on from", async () => {
  const signals = new FakeSignals();
  const load = async (): Promise<never> => {
    noteWanted("calm.safetensors");
    noteKept("calm.safetensors.partial");
    signals.send("SIGINT");
    throw new SluiceError("aborted", "The operation was aborted");
  };
  const { stderr } = await run(["logits", "m", "--tokens", "1", "--out", "/dev/null"], {
    library: { ...fakeLibrary(), load },
    signals,
  });
  const became = "/dev/null and calm.safetensors were not written; calm.safetensors.partial keeps what was measured";
  assert.is(stderr, `sluice: interrupted: ${became}\n`);
});

test("work that takes a while to stop is spoken of", async () => {
  const signals = new FakeSignals();
  const library = fakeLibrary({
    async beforeToken() {
      signals.send("SIGINT");
      await new Promise((resolve) => setTimeout(resolve, 1100));
    },
  });
  const { code, stderr } = await run(["generate", "m", "a"], { library, signals });
  assert.is(code, 130);
  assert.match(stderr, /^sluice: stopping as soon as .*; Ctrl-C again ends at once\n$/);
});

test("a second Ctrl-C does not wait", async () => {
  const signals = new FakeSignals();
  const exits: number[] = [];
  const library = fakeLibrary({
    beforeToken() {
      signals.send("SIGINT");
      signals.send("SIGINT");
    },
  });
  await run(["generate", "m", "a"], { library, signals, exit: (code) => exits.push(code) });
  assert.equal(exits, [130]);
});

test("a server serves until Ctrl-C, which is not lost while it opens; who reads the address may leave", async () => {
  const ending = "sluice: requests under way end; a second signal does not wait for them\n";
  const said = "listening at http://127.0.0.1:8000 (16 sequences of 8 tokens)\n";
  for (const [whileOpening, writes, expected, told, notice] of [
    [true, 1, 130, said, ""],
    [false, 1, 0, said, ending],
    [false, 0, 0, "", ending],
  ] as const) {
    const signals = new FakeSignals();
    let drained = 0;
    const server = {
      address: "http://127.0.0.1:8000",
      sequences: 16,
      context: 8,
      async drain() {
        drained++;
      },
    };
    const library = {
      ...fakeLibrary(),
      async serve() {
        // When the command has had time to say that it listens.
        if (whileOpening) signals.send("SIGINT");
        else setTimeout(() => signals.send("SIGINT"), 50);
        return server;
      },
    };
    const { code, stdout, stderr } = await run(["serve", "m"], {
      library,
      signals,
      stdout: new FakeOutput({ writes }),
    });
    assert.equal({ code, stdout, stderr, drained }, { code: expected, stdout: told, stderr: notice, drained: 1 });
  }
});

test("Ctrl-C while standard input is awaited ends the wait and releases the input", async () => {
  const signals = new FakeSignals();
  let destroyed = false;
  const stdin = { ...input(["half a pro"], { open: true }), destroy: () => (destroyed = true) };
  const running = run(["generate", "m"], { signals, stdin });
  setTimeout(() => signals.send("SIGINT"), 5);
  assert.equal(await running, { code: 130, stdout: "", stderr: "" });
  assert.is(destroyed, true);
});

test.run();
