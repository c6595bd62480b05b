/** Bad input is refused by a sentence that names the file and the option, before the model is loaded. */
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { COMMANDS } from "../../src/cli/commands.ts";
import { optionName } from "../../src/cli/option-name.ts";
import { SluiceError } from "../../src/errors.ts";
import { inFolder } from "../support/folder.ts";
import { fakeLibrary, run } from "./fake-world.ts";

/** A line that gives a command all that it must have, and for an option this value. */
function lineFor(command: (typeof COMMANDS)[number], key: string, value: string, good: string): string[] {
  if (command.name === "chat" && key === "apiKeyFile") {
    return ["chat", "--server", "http://127.0.0.1:9", optionName(key), value];
  }
  // A chat is with a model unless it is with a server.
  const positionals = Object.entries(command.positionals).flatMap(([word, { required }]) =>
    required || (command.name === "chat" && word === "model") ? [word] : [],
  );
  const others = Object.entries(command.options).filter(([name, option]) => name !== key && needed(option));
  return [
    ...command.name.split(" "),
    ...positionals,
    ...others.flatMap(([name, { reads }]) => [
      optionName(name),
      reads ? good : name === "strengths" ? "1" : `${good}.out`,
    ]),
    ...(command.name === "sweep"
      ? ["--with", "b", ...(key === "scorer" ? ["--prompts", good, "--max-new-tokens", "2"] : [])]
      : []),
    ...(command.name === "evaluate" ? ["--with", "b", ...(PARTNERS[key] ?? []).flatMap((name) => [name, good])] : []),
    optionName(key),
    value,
  ];
}

/** Options of evaluate that make sense only beside others. */
const PARTNERS: Readonly<Record<string, readonly string[]>> = {
  prompts: ["--scorer"],
  scorer: ["--prompts"],
  positive: ["--negative", "--prompts"],
  negative: ["--positive", "--prompts"],
};

/** Whether a command does not run without an option. */
function needed({ read }: (typeof COMMANDS)[number]["options"][string]): boolean {
  try {
    read([], "");
    return false;
  } catch {
    return true;
  }
}

test("missing files, folders and empty files are refused on every option that reads one", () =>
  inFolder(async (folder) => {
    const [good, empty, inner] = ["good", "empty", "inner"].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    await writeFile(good, "text\n");
    await writeFile(empty, "");
    await mkdir(inner);
    let count = 0;
    for (const command of COMMANDS) {
      for (const [key, { reads }] of Object.entries(command.options)) {
        if (reads !== "file") continue;
        count++;
        for (const [path, fault] of [
          [join(folder, "none"), "does not exist"],
          [join(good, "none"), "does not exist"],
          [inner, "is a folder; name a file"],
          [empty, "is empty"],
        ] as const) {
          const library = fakeLibrary();
          const { code, stderr } = await run(lineFor(command, key, path, good), { library });
          assert.is(stderr, `sluice: ${optionName(key)}: ${path} ${fault}\n`);
          assert.is(code, 1);
          assert.is(library.calls.load.length, 0);
        }
      }
    }
    assert.ok(count >= 18, `${count} options`);
  }));

test("a file that may not be read is refused with its option", () =>
  inFolder(async (folder) => {
    // Root reads everything.
    if (process.getuid?.() === 0) return;
    const closed = join(folder, "closed");
    await writeFile(closed, "text");
    await chmod(closed, 0);
    const { code, stderr } = await run(["perplexity", "m", "--texts", closed]);
    assert.is(code, 1);
    assert.match(stderr, /--texts: .*closed cannot be read: EACCES/);
  }));

test("an error inside a file is followed by the option that named it", () =>
  inFolder(async (folder) => {
    const [texts, bytes, ok] = ["texts.jsonl", "bytes", "ok"].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    await writeFile(ok, "text");
    await writeFile(texts, '{"text": 1}\n');
    await writeFile(bytes, Uint8Array.of(0xff, 0xfe));
    for (const [line, option] of [
      [`perplexity m --texts ${texts}`, "--texts"],
      [`generate m --prompts ${bytes}`, "--prompts"],
      [`attribute m --tokens 1,2 --out ${join(folder, "o")} --mask ${bytes}`, "--mask"],
      [`fit edges m --good ${texts} --bad ${ok} --out ${join(folder, "o")}`, "--good"],
    ] as const) {
      const { stderr } = await run(line.split(" "));
      assert.ok(stderr.endsWith(`\n  It was given with ${option}.\n`), stderr);
    }
    const library = {
      ...fakeLibrary(),
      loadBundle: () => Promise.reject(new SluiceError("bad_bundle", "b.gguf is a GGUF file", { hint: "Import it." })),
    };
    const { stderr } = await run(["generate", "m", "a", "--with", "b.gguf:as=x"], { library });
    assert.is(stderr, "sluice: b.gguf is a GGUF file\n  Import it.\n  It was given with --with.\n");
  }));

test("results that cannot be written are refused with their option, before any work", () =>
  inFolder(async (folder) => {
    const file = join(folder, "file");
    await writeFile(file, "text");
    for (const [line, says] of [
      [`quantize m --to q8 --out ${file}`, `${file} is a file; name a new folder`],
      [`quantize m --to q8 --out ${folder}`, `${folder} is a folder that is not empty`],
      [`logits m a --out ${folder}`, `${folder} is a folder; name a file`],
      [`logits m a --out ${join(folder, "no", "file")}`, "cannot be written"],
    ] as const) {
      const library = fakeLibrary();
      const { code, stderr } = await run(line.split(" "), { library });
      assert.is(code, 2);
      assert.ok(stderr.includes(says) && stderr.endsWith("It was given with --out.\n"), stderr);
      assert.is(library.calls.load.length, 0);
    }
  }));

test("errors of the library name its fields; the command line adds its option, if the command has it", async () => {
  const failing = (error: SluiceError) => ({ ...fakeLibrary(), load: () => Promise.reject(error) });
  const told = async (line: string, message: string, field?: string): Promise<string> => {
    const error = new SluiceError("usage", message, field === undefined ? {} : { field });
    return (await run(line.split(" "), { library: failing(error) })).stderr.replace(/^sluice: /, "");
  };
  assert.is(await told("generate m a", "Not finite", "plan"), "Not finite\n  The option for this is --plan PLAN.\n");
  assert.is(await told("tune m", "Not finite", "plan"), "Not finite\n");
  assert.match(await told("generate m a", "Clash", "prefix"), /option for this is --with FILE:as=PREFIX\./);
  assert.match(await told("generate m a", "promptLength is 9; it must be 4 at most"), /--prompt-length N\./);
  assert.match(await told("bench m", "newTokens is 9000; it must be less"), /--max-new-tokens N\./);
  assert.match(await told("generate m a", "Measured choices are damaged", "tune"), /is --no-tune\./);
  assert.is(await told("generate m a", "It is what it is"), "It is what it is\n");
});

test.run();
