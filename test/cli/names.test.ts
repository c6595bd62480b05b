/** One option has one name and one meaning on all commands; earlier and foreign names lead to it. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { COMMANDS } from "../../src/cli/commands.ts";
import { optionName } from "../../src/cli/option-name.ts";
import { inFolder } from "../support/folder.ts";
import { fakeLibrary, run } from "./fake-world.ts";

test("an option takes the same kind of value on every command, and no earlier name is an option elsewhere", () => {
  const kinds = new Map<string, { readonly value: string | null; readonly command: string }>();
  const earlier = new Set<string>();
  for (const { name: command, options } of COMMANDS) {
    for (const [key, { value, aliases = [] }] of Object.entries(options)) {
      // What is written is a file or a folder.
      const kind = key === "out" ? "PATH" : value;
      const known = kinds.get(key) ?? { value: kind, command };
      kinds.set(key, known);
      assert.ok(
        known.value === kind,
        `${optionName(key)} takes ${value} on ${command} and ${known.value} on ${known.command}`,
      );
      for (const alias of aliases) earlier.add(alias);
    }
  }
  assert.equal(
    [...earlier].filter((alias) => kinds.has(alias) && alias !== "top"),
    [],
  );
});

test("earlier names still work, and a notice says the name of today", () =>
  inFolder(async (folder) => {
    const file = join(folder, "texts.jsonl");
    await writeFile(file, '{"tokens": [5, 6]}\n');
    const library = fakeLibrary();
    const told = async (line: string): Promise<string> => {
      const { stderr } = await run(line.split(" "), { library });
      return stderr;
    };
    assert.match(await told(`perplexity m --file ${file}`), /sluice: --file is now called --texts\n/);
    assert.equal(library.calls.perplexity[0]?.documents, [[5, 6]]);
    assert.match(await told(`generate m --batch ${file}`), /--batch is now called --prompts/);
    assert.equal(library.calls.batch[0]?.prompts, [[5, 6]]);
    assert.match(await told("generate m --prompt Once"), /--prompt can be left out: PROMPT is an argument/);
    assert.is(library.calls.generate[0]?.prompt, "Once");
    assert.match(await told("generate m Twice --prompt Once"), /PROMPT was given twice/);
    assert.match(await told("bench m --new-tokens 3"), /--new-tokens is now called --max-new-tokens/);
    assert.match(await told("bench m --new-tokens x"), /--max-new-tokens takes a whole number/);
    const { stdout } = await run(["perplexity", "--help"]);
    assert.not.match(stdout, /--file/);
  }));

test("profile's --tokens are ids; a single number still is a count", async () => {
  const asked: unknown[] = [];
  const library = {
    ...fakeLibrary(),
    profile: async (_: unknown, prompt: unknown, { newTokens }: { newTokens?: number }) => {
      asked.push([prompt, newTokens]);
      throw new Error("asked");
    },
  };
  const told = async (line: string) => (await run(line.split(" "), { library: library as never })).stderr;
  assert.match(await told("profile m Hi --tokens 4"), /--tokens 4, one number, is taken as --max-new-tokens 4/);
  assert.not.match(await told("profile m --tokens 4,5"), /taken as/);
  assert.not.match(await told("profile m --tokens 4 --max-new-tokens 2"), /taken as/);
  assert.match(await told("profile m --prompt-ids 7,8"), /--prompt-ids is now called --tokens/);
  assert.match(await told("profile m Hi --tokens 4,5"), /which one\?/);
  assert.equal(asked, [
    ["Hi", 4],
    [[4, 5], 8],
    [[4], 2],
    [[7, 8], 8],
  ]);
});

test("names that other programs use, and misspelt ones, suggest what this command has", async () => {
  const suggested: readonly (readonly [line: string, ours: string])[] = [
    ["generate m a --max-tokens 5", "--max-new-tokens"],
    ["generate m a --n-predict 5", "--max-new-tokens"],
    ["generate m a -n 5", "--max-new-tokens"],
    ["generate m a --max_new_tokens 5", "--max-new-tokens"],
    ["generate m a --new-tokens 5", "--max-new-tokens"],
    ["generate m a --temp 0.5", "--temperature"],
    ["generate m a --top_k 5", "--top-k"],
    ["generate m a -c 64", "--context"],
    ["generate m a --repeat-penalty 1.1", "--repetition-penalty"],
    ["generate m a --num_return_sequences 2", "--samples"],
    ["generate m -p Once", "PROMPT"],
    ["generate -m folder", "MODEL"],
    ["bench m -p 64", "--prompt-tokens"],
    ["bench m --n-gen 64", "--max-new-tokens"],
    ["perplexity m -f text", "--texts"],
    ["perplexity m --max-token 3", "--max-tokens"],
    ["logits m a -o f", "--out"],
    ["capture m a --hook x", "--site"],
    ["compare m a --control-vector f", "--with"],
  ];
  for (const [line, ours] of suggested) {
    const { code, stderr } = await run(line.split(" "));
    assert.is(code, 2, line);
    assert.ok(stderr.includes(`Did you mean ${ours}?`), `${line}: ${stderr}`);
  }
  const { stderr } = await run(["generate", "m", "--quite-something-else"]);
  assert.match(stderr, /unknown option --quite-something-else of sluice generate\n {2}sluice generate --help lists/);
});

test("a misspelt command of two words suggests one of its family", async () => {
  for (const [line, ours] of [
    ["fit acee m", "fit ace"],
    ["fit addtion", "fit addition"],
    ["bundle inspct x", "bundle inspect"],
    ["help fit probee", "fit probe"],
    ["fit-ace m", "fit ace"],
    ["genrate m", "generate"],
  ] as const) {
    const { code, stderr } = await run(line.split(" "));
    assert.is(code, 2, line);
    assert.ok(stderr.includes(`Did you mean ${ours}?`), `${line}: ${stderr}`);
  }
  assert.match((await run(["fit"])).stderr, /"fit" is not a command[\s\S]*There are fit aura, fit ace/);
});

test("typed text is repeated only in part, and without characters that move the cursor", async () => {
  const { stderr } = await run(["generate", "m", "a", `--${"x".repeat(5000)}\u001b[2J`]);
  assert.ok(stderr.length < 300);
  assert.not.ok((await run([`a\u001b[2J${"y".repeat(500)}`])).stderr.includes("\u001b"));
});

test.run();
