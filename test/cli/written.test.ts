/** Files that commands write, and how they describe them. */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseSafetensors, storeFloat32, writeSafetensors } from "../../src/formats/safetensors.ts";
import { inFolder } from "../support/folder.ts";
import { fakeLibrary, run } from "./fake-world.ts";

test("logits and capture write safetensors, and say what", () =>
  inFolder(async (folder) => {
    const out = join(folder, "out.safetensors");
    const library = fakeLibrary();
    const table = (bytes: number, rows: string) =>
      `${out}: 1 tensor, ${bytes} bytes\n  tensor  dtype    shape\n  ${rows}\n`;
    const told = await run(["logits", "m", "--tokens", "5,6,7", "--out", out], { library });
    assert.equal(told, { code: 0, stdout: table(48, "logits  float32  [3, 4]"), stderr: "" });
    assert.equal(parseSafetensors(await readFile(out)).tensors.get("logits")?.shape, [3, 4]);
    const last = await run(["logits", "m", "Hi", "--last", "--out", out], { library });
    assert.is(last.stdout, table(16, "logits  float32  [1, 4]"));
    assert.equal(parseSafetensors(await readFile(out)).tensors.get("logits")?.shape, [1, 4]);
    assert.equal(library.calls.logits, [
      { tokens: [5, 6, 7], last: false },
      { tokens: [1, 72, 105], last: true },
    ]);

    const line = ["capture", "m", "--tokens", "5", "--site", "embed", "--site", "attn_z.0", "--site", "embed"];
    const sites = await run([...line, "--json", "--out", out], { library });
    assert.equal(JSON.parse(sites.stdout), {
      file: out,
      tensors: [
        { name: "embed", dtype: "float32", shape: [1, 2] },
        { name: "attn_z.0", dtype: "float32", shape: [1, 2] },
      ],
    });
    assert.equal([...parseSafetensors(await readFile(out)).tensors.keys()].sort(), ["attn_z.0", "embed"]);
    assert.equal(library.calls.capture, [{ tokens: [5], sites: ["embed", "attn_z.0"] }]);
    assert.equal(await readdir(folder), ["out.safetensors"]);
    assert.is(library.calls.disposedModels, 3);
  }));

test("attribute reads a mask, ignores other tensors of its file, and writes gradient and loss", () =>
  inFolder(async (folder) => {
    const out = join(folder, "out.safetensors");
    const maskFile = join(folder, "mask.safetensors");
    const line = ["attribute", "m", "--tokens", "5,6", "--out", out];
    const library = fakeLibrary();
    const { stdout } = await run(line, { library });
    assert.match(stdout, /^loss 1\.5000 nats per predicted token\n.*out\.safetensors: 2 tensors, 28 bytes\n/);
    assert.match(stdout, / {2}gradient {2}float32 {2}\[2, 3\]\n {2}loss {6}float32 {2}\[1\]\n/);
    const { tensors } = parseSafetensors(await readFile(out));
    assert.equal([...tensors].map(([name, { dtype, shape }]) => [name, dtype, shape]).sort(), [
      ["gradient", "F32", [2, 3]],
      ["loss", "F32", [1]],
    ]);

    const stored = (...shape: number[]) => storeFloat32(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape);
    await writeFile(
      maskFile,
      writeSafetensors(
        new Map([
          ["mask", stored(2, 3)],
          ["constants", stored(3, 8)],
          ["x", stored(1)],
        ]),
      ),
    );
    await run([...line, "--mask", maskFile, "--destinations", "qkv_groups"], { library });
    assert.equal(library.calls.attribute, [
      { tokens: [5, 6], destinations: "heads", mask: undefined, constants: undefined },
      { tokens: [5, 6], destinations: "qkv_groups", mask: [2, 3], constants: [3, 8] },
    ]);

    await writeFile(maskFile, writeSafetensors(new Map([["masks", stored(2, 3)]])));
    const missing = await run([...line, "--mask", maskFile], { library });
    assert.is(missing.code, 1);
    assert.match(missing.stderr, /has no tensor "mask"/);
    assert.is((await run([...line, "--destinations", "tails"], { library })).code, 2);
    assert.is(library.calls.load.length, 2);
  }));

test("an output that cannot be written is refused before the model is loaded", () =>
  inFolder(async (folder) => {
    const library = fakeLibrary();
    const refused: readonly (readonly [out: string, says: RegExp])[] = [
      [join(folder, "no/such/file"), /Does the folder .* exist/],
      [folder, /is a folder; name a file/],
    ];
    for (const [out, says] of refused) {
      const { code, stderr } = await run(["logits", "m", "--tokens", "1", "--out", out], { library });
      assert.is(code, 2);
      assert.match(stderr, says);
    }
    assert.is(library.calls.load.length, 0);
    assert.is((await run(["logits", "m", "--tokens", "1", "--out", "/dev/null"], { library })).code, 0);
  }));

test.run();
