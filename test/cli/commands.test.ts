/** Each command's calls of the library, and its output. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { SluiceError } from "../../src/errors.ts";
import { inFolder } from "../support/folder.ts";
import { input } from "./fake-process.ts";
import { fakeLibrary, run, timings } from "./fake-world.ts";

test("generate streams text for text and ids for ids", async () => {
  assert.equal(await run(["generate", "m", "Hi"]), { code: 0, stdout: "abc\n", stderr: "" });
  const library = fakeLibrary({ tokenizer: null });
  assert.equal(await run(["generate", "m", "--tokens", "5, 6"], { library }), {
    code: 0,
    stdout: "97 98 99\n",
    stderr: "",
  });
  assert.equal(library.calls.generate[0]?.prompt, [5, 6]);
});

test("generate's defaults and options reach the library, and nothing else", async () => {
  const library = fakeLibrary();
  await run(["generate", "folder", "Hi"], { library });
  const { signal, ...defaults } = library.calls.generate[0]?.options ?? {};
  assert.equal(defaults, { temperature: 0, maxNewTokens: 128, stop: [], stopTokens: [] });
  assert.instance(signal, AbortSignal);
  assert.is(library.calls.load[0]?.source, "folder");
  assert.equal(Object.keys(library.calls.load[0]?.options ?? {}).sort(), ["onNotice", "onProgress", "signal", "tune"]);

  const line =
    "generate m Hi --temperature 0.5 --top-k 4 --top-p 0.9 --min-p 0.1 --repetition-penalty 1.2 --seed 3 --stop END " +
    "--stop DONE --stop-token 7 --stop-token 8 --context 64 --overflow error --max-new-tokens 9 --adapter swift --plan reference";
  await run(line.split(" "), { library });
  const { signal: _, ...options } = library.calls.generate[1]?.options ?? {};
  assert.equal(options, {
    temperature: 0.5,
    topK: 4,
    topP: 0.9,
    minP: 0.1,
    repetitionPenalty: 1.2,
    seed: 3,
    stop: ["END", "DONE"],
    stopTokens: [7, 8],
    overflow: "error",
    context: 64,
    maxNewTokens: 9,
  });
  assert.is(library.calls.load[1]?.options.adapter, "swift");
  assert.is(library.calls.load[1]?.options.plan, "reference");
});

test("generate --json prints one object on one line", async () => {
  const { stdout } = await run(["generate", "m", "Hi", "--json"]);
  assert.is(stdout.indexOf("\n"), stdout.length - 1);
  const { timings: measured, ...result } = JSON.parse(stdout);
  assert.equal(result, { prompt_tokens: [1, 72, 105], tokens: [97, 98, 99], text: "abc", finish: "length" });
  assert.type(measured.load_ms, "number");
  assert.equal(measured, { ...timings, load_ms: measured.load_ms });

  const library = fakeLibrary({ tokenizer: null });
  const drawn = JSON.parse(
    (await run(["generate", "m", "--tokens", "5", "--temperature", "1", "--json"], { library })).stdout,
  );
  assert.is(drawn.text, null);
  assert.is(drawn.seed, 7);
});

test("generate reads a piped prompt, less the line's end that echo adds", async () => {
  const prompts: readonly (readonly [chunks: readonly (string | Uint8Array)[], prompt: string])[] = [
    [["One day\n"], "One day"],
    [["One ", "day\r\n"], "One day"],
    [["One day\n\n"], "One day\n"],
    // A character in two chunks.
    [[Uint8Array.of(0xc3), Uint8Array.of(0xa9)], "é"],
  ];
  for (const [chunks, prompt] of prompts) {
    const library = fakeLibrary();
    assert.is((await run(["generate", "m"], { library, stdin: input(chunks) })).code, 0);
    assert.is(library.calls.generate[0]?.prompt, prompt);
  }
  const damaged = await run(["generate", "m"], { stdin: input([Uint8Array.of(0xff)]) });
  assert.is(damaged.code, 1);
  assert.match(damaged.stderr, /not UTF-8/);
  const broken = await run(["generate", "m"], {
    stdin: {
      // biome-ignore lint/correctness/useYield: it fails before there is anything
      async *[Symbol.asyncIterator]() {
        throw new Error("EISDIR: illegal operation on a directory, read");
      },
    },
  });
  assert.is(broken.code, 1);
  assert.match(broken.stderr, /standard input cannot be read: EISDIR/);
});

test("without a prompt, an empty pipe and a terminal are refused with what to do", async () => {
  const library = fakeLibrary();
  for (const stdin of [input([]), input(["\n"]), input([], { isTTY: true, open: true })]) {
    const { code, stderr } = await run(["generate", "m"], { stdin, library });
    assert.is(code, 2);
    assert.match(stderr, /no prompt was given[\s\S]*--tokens 1,2,3/);
  }
  assert.is(library.calls.load.length, 0);
});

test("an empty prompt that was given is the library's to judge", async () => {
  const library = fakeLibrary();
  await run(["generate", "m", ""], { library });
  assert.is(library.calls.generate[0]?.prompt, "");
});

test("generate reports options without effect, and a full context, on stderr", async () => {
  const idle = await run(["generate", "m", "a", "--top-k", "3", "--min-p", "0.1"]);
  assert.match(idle.stderr, /temperature 0 .*--top-k and --min-p have no effect/);
  assert.is((await run(["generate", "m", "a", "--top-k", "3", "--temperature", "1"])).stderr, "");
  const full = await run(["generate", "m", "a"], { library: fakeLibrary({ finish: "context" }) });
  assert.equal(full, { code: 0, stdout: "abc\n", stderr: "sluice: stopped because the context is full\n" });
});

test("generate --prompts takes a prompt a line, and prints text for text and ids for ids", () =>
  inFolder(async (folder) => {
    const library = fakeLibrary({ says: ["abc", "de"] });
    const lines = join(folder, "prompts.txt");
    await writeFile(lines, "One day\n\n  indented\r\n");
    assert.is(
      (await run(["generate", "m", "--prompts", lines], { library })).stdout,
      `── prompt 1 of 2: "One day"\nabc\n\n── prompt 2 of 2: "  indented"\nde\n`,
    );
    assert.equal(library.calls.batch[0]?.prompts, ["One day", "  indented"]);

    const mixed = join(folder, "prompts.jsonl");
    await writeFile(mixed, '{"text": "One day"}\n\n{"tokens": [5, 6], "label": 1}\n');
    assert.is(
      (await run(["generate", "m", "--prompts", mixed], { library })).stdout,
      `── prompt 1 of 2: "One day"\nabc\n\n── prompt 2 of 2: 5 6\n100 101\n`,
    );
    assert.equal(library.calls.batch[1]?.prompts, ["One day", [5, 6]]);
    const { results } = JSON.parse((await run(["generate", "m", "--prompts", mixed, "--json"], { library })).stdout);
    assert.is(results.length, 2);
    assert.equal([results[1].prompt, results[1].sample, results[1].prompt_tokens], [1, 0, [5, 6]]);
  }));

test("samples and prompts of a file are each drawn with their own seed", () =>
  inFolder(async (folder) => {
    const library = fakeLibrary({ says: ["abc", "de"] });
    const line = "generate m Hi --temperature 1 --seed 5 --samples 2".split(" ");
    const { stdout } = await run(line, { library });
    assert.is(stdout, '── prompt, sample 1 of 2, seed 7: "Hi"\nabc\n\n── prompt, sample 2 of 2, seed 7: "Hi"\nde\n');
    assert.equal(library.calls.batch[0]?.prompts, ["Hi", "Hi"]);
    assert.equal(library.calls.batch[0]?.options.seeds, [5, 6]);

    const ids = join(folder, "ids.jsonl");
    await writeFile(ids, '{"tokens": [5]}\n{"tokens": [5]}\n');
    const drawn = await run(["generate", "m", "--prompts", ids, "--temperature", "1"], { library });
    assert.is(drawn.stdout, "97 98 99\n100 101\n");
    const [first = 0, second] = library.calls.batch[1]?.options.seeds ?? [];
    assert.is(second, first + 1);

    const same = await run("generate m Hi --samples 3".split(" "), { library });
    assert.is(same.code, 2);
    assert.match(same.stderr, /at temperature 0 all 3 samples would be the same/);
  }));

test("files that cannot be read exit with 1 and name the file and the line", () =>
  inFolder(async (folder) => {
    const cases: readonly (readonly [name: string, content: string | Uint8Array, says: RegExp])[] = [
      ["a.jsonl", '{"text": "x"}\n{"text": \n', /a\.jsonl, line 2 is not JSON/],
      ["b.jsonl", '{"label": 1}', /line 1 has neither "text" nor "tokens"/],
      ["c.jsonl", '{"text": 3}', /line 1 has "text" that is not a string/],
      ["d.jsonl", '\n{"tokens": [1, -2]}', /line 2: "tokens" is not a list of token ids/],
      ["e.jsonl", "null", /line 1 has neither/],
      ["h.jsonl", '{"text": "x", "\\u0074ext": "y"}', /line 1 has "text" twice/],
      ["f.txt", Uint8Array.of(0xff, 0xfe), /f\.txt is not UTF-8 text/],
      ["g.txt", "\n \n", /g\.txt holds no prompt/],
    ];
    for (const [name, content, says] of cases) {
      const path = join(folder, name);
      await writeFile(path, content);
      const { code, stderr } = await run(["generate", "m", "--prompts", path]);
      assert.is(code, 1, name);
      assert.match(stderr, says);
    }
    const missing = await run(["generate", "m", "--prompts", join(folder, "none.txt")]);
    assert.is(missing.code, 1);
    assert.match(missing.stderr, /--prompts: .*none\.txt does not exist/);
  }));

test("text needs a tokenizer, ids do not, on every command", () =>
  inFolder(async (folder) => {
    const out = join(folder, "out");
    const texts = join(folder, "texts.jsonl");
    const ids = join(folder, "ids.jsonl");
    await writeFile(texts, '{"text": "Hello"}\n');
    await writeFile(ids, '{"tokens": [5, 6]}\n');
    const pairs = [
      [
        ["logits", "m", "Hi", "--out", out],
        ["logits", "m", "--tokens", "5", "--out", out],
      ],
      [
        ["capture", "m", "Hi", "--site", "embed", "--out", out],
        ["capture", "m", "--tokens", "5", "--site", "embed", "--out", out],
      ],
      [
        ["perplexity", "m", "--texts", texts],
        ["perplexity", "m", "--texts", ids],
      ],
    ] as const;
    for (const [withText, withIds] of pairs) {
      const library = fakeLibrary({ tokenizer: null });
      const { code, stderr } = await run(withText, { library });
      assert.is(code, 1);
      assert.match(stderr, /no tokenizer/);
      assert.is(library.calls.disposedModels, 1);
      assert.is((await run(withIds, { library })).code, 0);
    }
  }));

test("perplexity cuts texts, heads them with BOS and prints the measurements", () =>
  inFolder(async (folder) => {
    const library = fakeLibrary();
    const file = join(folder, "texts.jsonl");
    await writeFile(file, '{"text": "abcd"}\n{"tokens": [9]}\n{"text": "zz"}\n');
    const line = ["perplexity", "m", "--texts", file];
    const plain = await run(line, { library });
    assert.is(plain.stdout, "perplexity 2.718  (nll 1.0000 over 9 tokens)\n");
    assert.match(plain.stderr, /1 of 3 texts are shorter than two tokens/);
    const options = ["--prepend-bos", "--max-tokens", "2", "--max-texts", "2", "--stride", "3", "--json"];
    const { stdout, stderr } = await run([...line, ...options], { library });
    const { run: made, ...measured } = JSON.parse(stdout);
    assert.equal(measured, { perplexity: Math.E, nll: 1, tokens: 9 });
    assert.is(made.device, "Played GPU");
    assert.is(made.command, ["sluice", ...line, ...options].join(" "));
    assert.is(stderr, "");
    assert.equal(library.calls.perplexity, [
      { documents: [[97, 98, 99, 100], [9], [122, 122]], stride: undefined },
      {
        documents: [
          [1, 97, 98],
          [1, 9],
        ],
        stride: 3,
      },
    ]);
  }));

test("perplexity refuses texts that predict nothing, and BOS if no file names one", () =>
  inFolder(async (folder) => {
    const file = join(folder, "short.jsonl");
    await writeFile(file, '{"tokens": [5]}\n');
    const empty = await run(["perplexity", "m", "--texts", file]);
    assert.is(empty.code, 2);
    assert.match(empty.stderr, /no token to predict[\s\S]*--prepend-bos/);
    const library = fakeLibrary({ tokenizer: null });
    const nameless = await run(["perplexity", "m", "--texts", file, "--prepend-bos"], { library });
    assert.is(nameless.code, 2);
    assert.match(nameless.stderr, /neither the tokenizer nor config\.json names a BOS/);
    const named = fakeLibrary({ tokenizer: null, bos: 3 });
    assert.is((await run(["perplexity", "m", "--texts", file, "--prepend-bos"], { library: named })).code, 0);
    assert.equal(named.calls.perplexity[0]?.documents, [[3, 5]]);
  }));

test("captures with numbers that are not finite are written with a notice", () =>
  inFolder(async (folder) => {
    const out = join(folder, "out");
    const world = fakeLibrary();
    const capture = async () => new Map([["embed", { data: Float32Array.of(1, Number.NaN), shape: [1, 2] }]]);
    const load: typeof world.load = async (...given) => ({ ...(await world.load(...given)), capture });
    const line = ["capture", "m", "--tokens", "5", "--site", "embed", "--out", out];
    const { code, stderr } = await run(line, { library: { ...world, load } });
    assert.is(code, 0);
    assert.match(stderr, /^sluice: embed: 1 of 2 numbers are not finite; --check-finite says where they begin$/m);
  }));

test("every command that runs a model takes bundles, read before the weights", () =>
  inFolder(async (folder) => {
    const file = join(folder, "ids.jsonl");
    await writeFile(file, '{"tokens": [5, 6]}\n');
    const out = join(folder, "out");
    const commands = [
      ["generate", "m", "--tokens", "5"],
      ["logits", "m", "--tokens", "5", "--out", out],
      ["capture", "m", "--tokens", "5", "--site", "embed", "--out", out],
      ["perplexity", "m", "--texts", file],
      ["explain", "m"],
    ];
    for (const command of commands) {
      const library = fakeLibrary();
      const options = "--with b --with c:as=two --strength two/x=0.5 --param y.alpha=-1".split(" ");
      assert.is((await run([...command, ...options], { library })).code, 0);
      assert.equal(library.calls.with, [
        {
          bundles: [
            { file: "b", prefix: null },
            { file: "c", prefix: "two" },
          ],
          settings: {
            strengths: new Map([["two/x", 0.5]]),
            params: new Map([["y", { alpha: -1 }]]),
            positions: new Map(),
            digests: {},
          },
        },
      ]);
      const unread = {
        ...fakeLibrary(),
        loadBundle: () => Promise.reject(new SluiceError("not_found", "b does not exist")),
      };
      assert.is((await run([...command, "--with", "b"], { library: unread })).code, 1);
      assert.is(unread.calls.load.length, 0);
    }
  }));

test("explain and info print text; info --json one object", async () => {
  assert.is((await run(["explain", "m", "--context", "8"])).stdout, "# Graph of 8 positions\n");
  const asked: unknown[] = [];
  for (const line of [
    "explain m",
    "explain --plan m --buffers",
    "explain m --plan reference --kernel norm",
    "explain m --plan=reference --graph --plan",
  ]) {
    const library = fakeLibrary({ onExplain: (options) => asked.push(options) });
    assert.is((await run(line.split(" "), { library })).code, 0);
    asked.push(library.calls.load[0]?.options.plan);
  }
  assert.equal(asked, [
    {},
    undefined,
    { parts: ["plan", "buffers"] },
    undefined,
    { kernel: "norm", parts: ["kernels"] },
    "reference",
    { parts: ["graph", "plan"] },
    "reference",
  ]);
  assert.match(
    (await run(["explain", "m", "--plan=fast"])).stderr,
    /--plan takes default, reference or f16-cache, not "fast"/,
  );
  const library = fakeLibrary();
  assert.is((await run(["info"], { library })).stdout, "Adapters\n");
  assert.is((await run(["info", "--adapter", "x", "--json"], { library })).stdout, '{"adapters":[]}\n');
  assert.equal(library.calls.info, [{}, { adapter: "x" }]);
  const { stdout } = await run(["info", "m", "--context", "512"], { library });
  assert.match(
    stdout,
    /^m: llama, 1\.24 billion parameters, 2\.5 GB to download\nMemory with a cache of 512 positions, on a GPU:$/m,
  );
  assert.match(stdout, /^ *as stored \(BF16\) +2\.5 GB +\S+ kB +\S+ kB +2\.6 GB +yes$/m);
  assert.equal(library.calls.footprints, [{ source: "m", options: { context: 512 } }]);
});

test.run();
