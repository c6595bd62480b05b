/** `sluice fit edges`: its call of the library, its output and its file. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseSafetensors } from "../../src/formats/safetensors.ts";
import { inFolder } from "../support/folder.ts";
import { fakeLibrary, run } from "./fake-world.ts";

test("fit edges reads good and bad texts, writes a bundle and reports the result", () =>
  inFolder(async (folder) => {
    const [good, bad, out] = ["good.jsonl", "bad.jsonl", "out.safetensors"].map((file) => join(folder, file)) as [
      string,
      string,
      string,
    ];
    await writeFile(good, '{"tokens": [5, 6, 7]}\n{"text": "Hi"}\n');
    await writeFile(bad, '{"tokens": [8, 9]}\n{"tokens": [8]}\n');
    const line = ["fit", "edges", "m", "--good", good, "--bad", bad, "--out", out, "--max-tokens", "2", "--edges", "3"];
    const library = fakeLibrary();
    const { code, stdout, stderr } = await run(line, { library });
    assert.is(code, 0);
    assert.equal(stdout.split("\n"), [
      "1 of 82 edges",
      "  KL to the whole model, nats per token: bad 1.000, good 0.250",
      "  embed → logits: alone bad +0.500, good +0.125",
      "",
    ]);
    assert.match(stderr, /1 of 2 texts are shorter than two tokens/);
    assert.equal(library.calls.fit, [
      {
        good: [
          [5, 6],
          [72, 105],
        ],
        bad: [[8, 9], [8]],
        edges: 3,
        method: undefined,
        start: undefined,
      },
    ]);
    assert.is((await run([...line, "--start", "first.safetensors"], { library })).code, 0);
    assert.is(library.calls.fit[1]?.start, "first.safetensors");
    assert.is(parseSafetensors(await readFile(out)).metadata.get("format"), "sluice.interventions/1");
    const { summary } = JSON.parse((await run([...line, "--json"], { library })).stdout);
    assert.is(summary, "1 of 82 edges");
    assert.match((await run(["fit", "edges", "--help"])).stdout, /sluice fit edges MODEL/);
    assert.is((await run(["fit", "edges", "m"])).code, 2);
    assert.is((await run(["fit"])).code, 2);
  }));

test.run();
