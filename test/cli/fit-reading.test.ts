/** --chat, --token, --layer and --everywhere: what reaches the library, what a kept fit refuses, and errors for people. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Library } from "../../src/cli/context.ts";
import { SluiceError } from "../../src/errors.ts";
import { inFolder } from "../support/folder.ts";
import { fakeLibrary, run } from "./fake-world.ts";

type Asked = Readonly<Record<string, unknown>>;

/** A library whose fits note what they are asked for, and end before they have measured more than a row. */
function noting(asked: Asked[]): Library {
  const stop = async (options: {
    readonly store?: { begin(parts: unknown): Promise<number>; append(rows: unknown): Promise<void> };
  }) => {
    const { store, signal: _, onProgress: __, ...rest } = options as typeof options & Asked;
    asked.push(rest);
    const kept = (await store?.begin([{ rows: 3, width: 1 }])) ?? 0;
    if (store && kept === 0) await store.append([Float32Array.of(1)]);
    throw new SluiceError("gpu", `stopped with ${kept} rows`);
  };
  const fits = {
    fitAura: (_: unknown, options: never) => stop(options),
    fitProbe: (_: unknown, options: never) => stop(options),
    fitDirection: (_: unknown, method: string, options: Asked) => stop({ method, ...options } as never),
    chooseLayer: (_: unknown, method: string, options: Asked) => stop({ chosen: true, method, ...options } as never),
  };
  return { ...fakeLibrary(), ...fits } as unknown as Library;
}

const messages = [
  { role: "system", content: "Brief." },
  { role: "user", content: "Hi" },
];

async function files(folder: string): Promise<string> {
  await writeFile(
    join(folder, "p.jsonl"),
    `${JSON.stringify({ messages })}\n${JSON.stringify(messages.slice(1))}\n{"text": "Ho"}\n`,
  );
  await writeFile(join(folder, "n.txt"), "ab\n\ncd\n");
  return `M --positive ${join(folder, "p.jsonl")} --negative ${join(folder, "n.txt")} --out ${join(folder, "out")}`;
}

test("conversations and tokens reach every fit of two classes", () =>
  inFolder(async (folder) => {
    const line = await files(folder);
    const tokens = { "-1": -1, "-2": -2, "3": 3, "mean:5": "mean:5", "last-instruction": "last-instruction" };
    for (const fit of ["aura", "ace", "ablation", "addition", "leace", "probe"]) {
      for (const [written, token] of Object.entries(tokens)) {
        const asked: Asked[] = [];
        const argv = `fit ${fit} ${line}.${fit}.${written} --chat --max-tokens 99 --token ${written}`.split(" ");
        const { stderr } = await run(argv, { library: noting(asked) });
        assert.match(stderr, /stopped with 0 rows/, `${argv.join(" ")}: ${stderr}`);
        const { positive, negative, chat, maxTokens } = asked[0] as Asked;
        assert.equal([chat, maxTokens, asked[0]?.["token"]], [true, 99, token]);
        assert.equal(
          [positive, negative],
          [
            [messages, messages.slice(1), "Ho"],
            ["ab", "cd"],
          ],
        );
      }
    }
  }));

test("layers and everywhere reach the library; without a layer one is chosen", () =>
  inFolder(async (folder) => {
    const line = `${await files(folder)} --chat`;
    const ask = async (fit: string, options: string): Promise<Asked> => {
      const asked: Asked[] = [];
      const name = options.replaceAll(" ", "");
      await run(`fit ${fit} ${line} --out ${join(folder, `${fit}${name}`)} ${options}`.trim().split(" "), {
        library: noting(asked),
      });
      return asked[0] ?? {};
    };
    const kept = ({ chosen, layers, everywhere }: Asked) => [chosen, layers, everywhere];
    assert.equal(kept(await ask("ace", "--layer 2")), [undefined, [2], undefined]);
    assert.equal(kept(await ask("ace", "--layer auto")), [true, undefined, undefined]);
    assert.equal(kept(await ask("ablation", "--layer auto")), [true, undefined, undefined]);
    assert.equal(kept(await ask("ablation", "--everywhere")), [true, undefined, true]);
    assert.equal(kept(await ask("ablation", "--everywhere --layer 1")), [undefined, [1], true]);
    assert.equal(kept(await ask("ablation", "--everywhere --layers 1")), [undefined, [1], true]);
    assert.equal(kept(await ask("ablation", "--everywhere --layers auto --kl-bound 3")), [true, undefined, true]);
  }));

test("a kept fit continues with the same options, and with no others", () =>
  inFolder(async (folder) => {
    const line = await files(folder);
    const said = async (options: string) =>
      (await run(`fit ablation ${line} --chat ${options}`.split(" "), { library: noting([]) })).stderr;
    const first = "--token last-instruction --layer 1";
    assert.match(await said(first), /stopped with 0 rows/);
    assert.match(await said(first), /continuing from[\s\S]*stopped with 1 rows/);
    for (const other of [
      "--token -1 --layer 1",
      "--token mean:2 --layer 1",
      "--layer 1",
      "--token last-instruction --layer 2",
      `${first} --everywhere`,
    ]) {
      const stderr = await said(other);
      assert.match(stderr, /belongs to a fit of another model or device, or with other sentences or options/, other);
    }
  }));

test("errors name the option, or the file and line", () =>
  inFolder(async (folder) => {
    const line = await files(folder);
    const bad = async (name: string, content: string): Promise<string> => {
      await writeFile(join(folder, name), content);
      return line.replace(/--negative \S+/, `--negative ${join(folder, name)}`);
    };
    const refused: readonly (readonly [line: string, code: number, says: RegExp])[] = [
      [`fit ace ${line} --token last-instruction`, 2, /--token last-instruction[\s\S]*Add --chat/],
      [`fit ace ${line} --chat --token last`, 2, /--token: "last" names no token[\s\S]*mean:5/],
      [`fit ace ${line} --chat --token mean:0`, 2, /"mean:0" names no token/],
      [`fit ace ${line} --chat --token 1.5`, 2, /"1\.5" names no token/],
      [`fit ace ${line}`, 1, /p\.jsonl, line 1[\s\S]*--chat/],
      [`fit ace ${line} --chat --token -900`, 2, /Positive sentence 1 has \d+ tokens, so there is no token -900/],
      [`fit ace ${line} --layer x`, 2, /"x" is not a layer/],
      [`fit ace ${line} --layer 1 --layers 2`, 2, /which one/],
      [`fit ace ${line} --everywhere`, 2, /unknown option --everywhere of sluice fit ace/],
      [`fit ablation ${line} --everywhere --layers 1,2`, 2, /several layers[\s\S]*--layer 7/],
      [`fit ablation ${line} --everywhere --layers all`, 2, /several layers/],
      [`fit ablation ${line} --everywhere --layer 1 --kl-bound 1`, 2, /only with --layer auto/],
      [
        `fit ace ${await bad("a.jsonl", '{"tokens": [1]}\n')} --chat`,
        1,
        /a\.jsonl, line 1 has neither "messages" nor "text"/,
      ],
      [
        `fit ace ${await bad("b.jsonl", '{"messages": [{"content": "x"}]}\n')} --chat`,
        1,
        /b\.jsonl, line 1: messages\[0\]\.role is missing/,
      ],
      [`fit ace ${await bad("c.jsonl", '{"messages": []}\n')} --chat`, 1, /c\.jsonl, line 1: "messages" is empty/],
    ];
    for (const [words, status, says] of refused) {
      const { code, stderr } = await run(words.split(" "), { library: noting([]) });
      assert.match(stderr, says, `${words}: ${stderr}`);
      assert.is(code, status, `${words}: ${stderr}`);
    }
  }));

test.run();
