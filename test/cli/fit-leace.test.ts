/** fit leace: its calls of the library, from text and from tables, and its table, JSON and file. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Library } from "../../src/cli/context.ts";
import { storeFloat32 } from "../../src/formats/safetensors.ts";
import type { DirectionOptions } from "../../src/index.ts";
import { readBundle } from "../../src/interventions/bundle.ts";
import { fakeLibrary, run } from "./fake-world.ts";

const folder = await mkdtemp(join(tmpdir(), "sluice-test-"));
test.after(() => rm(folder, { recursive: true }));
const out = join(folder, "leace.safetensors");

async function file(name: string, content: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

/** A library that notes what it is asked for, and has fitted two layers. */
function playing(asked: DirectionOptions[]): Library {
  const whole = fakeLibrary();
  return {
    ...whole,
    async fitDirection(_, method, options) {
      asked.push(options);
      options.onProgress?.(3, 6, 0);
      const empty = await whole.loadBundle("fitted", {});
      const id = `${method}_mlp_out`;
      const stage = { id, kind: "affine", method: "low_rank", site: "mlp_out", layers: [0, 2] } as const;
      return {
        ...empty,
        manifest: { ...empty.manifest, stages: [stage] },
        tensors: new Map([
          [`${id}.0.u`, storeFloat32(Float32Array.of(1.5), [1, 1])],
          [`${id}.2.u`, storeFloat32(Float32Array.of(20), [1, 1])],
        ]),
      };
    },
  };
}

const positive = await file("positive.txt", "ab\n\ncd\n");
const negative = await file("negative.jsonl", '{"text": "xyz"}\n{"tokens": [7, 8, 9, 10]}\n');

test("options reach the library; a table, and a bundle that reads again", async () => {
  const asked: DirectionOptions[] = [];
  const line =
    `fit leace M --positive ${positive} --negative ${negative} --site mlp_out --layers 0,2 --shrinkage 0.5 ` +
    `--max-tokens 3 --name plain --out ${out}`;
  const { code, stdout, stderr } = await run(line.split(" "), { library: playing(asked) });
  assert.is(code, 0, stderr);
  const { site, layers, shrinkage, name, sources, ...classes } = asked[0] as DirectionOptions;
  assert.equal([site, layers, shrinkage, name], ["mlp_out", [0, 2], 0.5, "plain"]);
  assert.equal(classes.positive, [
    [1, 97, 98],
    [1, 99, 100],
  ]);
  assert.equal(classes.negative, [
    [1, 120, 121],
    [7, 8, 9],
  ]);
  assert.equal(sources, { positive: "positive.txt", negative: "negative.jsonl" });
  assert.match(stdout, /^ {2}layer {3}‖r⁺ − r⁻‖\n {6}0 {3}1\.5000\n {6}2 {3}20\.0000$/m);
  assert.match(stdout, /leace\.safetensors written: stage leace_mlp_out\n$/);
  const bundle = readBundle(await readFile(out), out);
  assert.equal([...bundle.tensors.keys()], ["leace_mlp_out.0.u", "leace_mlp_out.2.u"]);
});

test("--json has every layer; defaults are left to the library", async () => {
  const asked: DirectionOptions[] = [];
  const line = `fit leace M --positive ${positive} --negative ${negative} --out ${out} --json`;
  const { stdout } = await run(line.split(" "), { library: playing(asked) });
  assert.equal([asked[0]?.site, asked[0]?.layers, asked[0]?.shrinkage], ["resid_post", "all", undefined]);
  const { run: made, ...fitted } = JSON.parse(stdout);
  assert.is(made.command, `sluice ${line}`);
  assert.equal(fitted, {
    id: "leace_mlp_out",
    layers: [
      { layer: 0, direction_norm: 1.5 },
      { layer: 2, direction_norm: 20 },
    ],
  });
});

test("one table gives both classes, by its columns", async () => {
  const table = await file("both.csv", 'said,toxic\n"a, ""b""",1\nc,0.2\n"d\ne",yes\n,1\n');
  const asked: DirectionOptions[] = [];
  const line = `fit leace M --positive ${table} --negative ${table} --text-column said --label-column toxic --out ${out}`;
  const { code, stderr } = await run(line.split(" "), { library: playing(asked) });
  assert.is(code, 0, stderr);
  const said = (sentences: DirectionOptions["positive"] = []) =>
    sentences.map((tokens) => String.fromCodePoint(...(tokens as readonly number[]).slice(1)));
  assert.equal(said(asked[0]?.positive), ['a, "b"', "d\ne"]);
  assert.equal(said(asked[0]?.negative), ["c"]);
});

test("errors name the file, column, line or option", async () => {
  const bad = await file("bad.csv", "text,label\na,maybe\n");
  const short = await file("short.csv", "text,label\na\n");
  const single = await file("single.csv", "text,label\na,1\n");
  const doubled = await file("doubled.csv", "text,label,text\na,1,b\n");
  const given = (first: string, second: string, ...rest: string[]) =>
    ["fit", "leace", "M", "--positive", first, "--negative", second, "--out", out, ...rest] as const;
  const refused: readonly (readonly [line: readonly string[], code: number, says: RegExp])[] = [
    [
      given(positive, negative, "--shrinkage", "1.5"),
      2,
      /--shrinkage: "1\.5" is not a share[\s\S]*auto, or a number from 0 to 1/,
    ],
    [given(positive, negative, "--shrinkage", "some"), 2, /--shrinkage/],
    [given(positive, negative, "--layers", "x"), 2, /names no layers/],
    [given(positive, negative, "--text-column", "said"), 2, /neither file is a \.csv/],
    [given(single, negative, "--text-column", "said"), 1, /single\.csv has no column "said"[\s\S]*text, label/],
    [given(bad, negative, "--label-column", "label"), 1, /bad\.csv: "maybe" is not a label/],
    [given(doubled, negative), 1, /doubled\.csv has two columns "text"/],
    [given(short, negative), 1, /short\.csv, line 2: 1 fields/],
    [given(single, single, "--label-column", "label"), 1, /single\.csv holds no sentence of the negative class/],
    [given(join(folder, "none.txt"), negative), 1, /none\.txt/],
    [
      given(await file("empty.txt", "\n"), negative),
      1,
      /empty\.txt holds no sentence\n {2}Write one sentence per line/,
    ],
  ];
  const ace = given(positive, negative, "--shrinkage", "0").map((word) => (word === "leace" ? "ace" : word));
  for (const [line, status, says] of [...refused, [ace, 2, /unknown option --shrinkage of sluice fit ace/] as const]) {
    const { code, stderr } = await run(line, { library: playing([]) });
    assert.is(code, status, `${line.join(" ")}: ${stderr}`);
    assert.match(stderr, says);
  }
});

test.run();
