import { test } from "uvu";
import * as assert from "uvu/assert";
import { openCheckpoint } from "../../src/formats/huggingface.ts";
import { openSource } from "../../src/formats/open-source.ts";
import { type StoredTensor, storeFloat32, toFloat32, writeSafetensors } from "../../src/formats/safetensors.ts";
import { refusal } from "./refusal.ts";

const INDEX = "model.safetensors.index.json";

function weights(...entries: [string, number[]][]): Uint8Array<ArrayBuffer> {
  return writeSafetensors(
    new Map(entries.map(([name, data]) => [name, storeFloat32(Float32Array.from(data), [data.length])])),
  );
}

/** A folder of these files; an object stands for its JSON. */
function folder(files: Readonly<Record<string, BlobPart | object>>) {
  const isContent = (content: BlobPart | object): content is BlobPart =>
    typeof content === "string" || content instanceof Uint8Array;
  return openSource(
    Object.entries(files).map(
      ([name, content]) => new File([isContent(content) ? content : JSON.stringify(content)], name),
    ),
  );
}

const open = async (files: Readonly<Record<string, BlobPart | object>>) => openCheckpoint(await folder(files));

const floats = (bytes: Uint8Array): number[] => [
  ...toFloat32({ dtype: "F32", shape: [], bytes } satisfies StoredTensor),
];

test("one file: its tensors, in its order, and ranges of them", async () => {
  const checkpoint = await open({ "model.safetensors": weights(["b", [1, 2, 3]], ["a", [4]]) });
  assert.equal(
    [...checkpoint.tensors.values()].map(({ name, dtype, shape, byteLength }) => ({ name, dtype, shape, byteLength })),
    [
      { name: "a", dtype: "F32", shape: [1], byteLength: 4 },
      { name: "b", dtype: "F32", shape: [3], byteLength: 12 },
    ],
  );
  assert.equal(floats(await checkpoint.read("b", 4, 12)), [2, 3]);
  assert.is((await checkpoint.read("b", 12, 12)).length, 0);
  const bytes = await checkpoint.read("b", 1, 3);
  assert.is(bytes.byteOffset % 4, 0);
  bytes.fill(9);
  assert.equal(floats(await checkpoint.read("b", 0, 12)), [1, 2, 3]);
});

test("reads outside a tensor do not reach its neighbours", async () => {
  const checkpoint = await open({ "model.safetensors": weights(["a", [1]], ["b", [2]]) });
  await refusal("usage", () => checkpoint.read("a", 0, 8), '"a" has 4 bytes', "8");
  await refusal("usage", () => checkpoint.read("b", -4, 4), "-4");
  await refusal("bad_weights", () => checkpoint.read("c", 0, 4), '"c"');
  await checkpoint.close();
  await refusal("usage", () => checkpoint.read("a", 0, 4), "closed");
});

test("shards are one checkpoint", async () => {
  const checkpoint = await open({
    [INDEX]: {
      metadata: { total_size: 12 },
      weight_map: { b: "two.safetensors", a: "one.safetensors", c: "two.safetensors" },
    },
    "one.safetensors": weights(["a", [1]]),
    "two.safetensors": weights(["b", [2]], ["c", [3]]),
  });
  assert.equal([...checkpoint.tensors.keys()], ["a", "b", "c"]);
  for (const [name, value] of [
    ["a", 1],
    ["b", 2],
    ["c", 3],
  ] as const) {
    assert.equal(floats(await checkpoint.read(name, 0, 4)), [value]);
  }
});

test("a whole file goes before an index", async () => {
  const checkpoint = await open({
    "model.safetensors": weights(["a", [1]]),
    [INDEX]: { weight_map: { b: "gone.safetensors" } },
  });
  assert.equal([...checkpoint.tensors.keys()], ["a"]);
});

test("shards that the folder lacks: none at all is an error, others are noted by tensor", async () => {
  const index = { weight_map: { a: "one.safetensors", b: "two.safetensors", c: "two.safetensors" } };
  const checkpoint = await open({ [INDEX]: index, "one.safetensors": weights(["a", [1]]) });
  assert.equal([...checkpoint.tensors.keys()], ["a"]);
  assert.equal(
    [...(checkpoint.missing ?? [])],
    [
      ["b", "two.safetensors"],
      ["c", "two.safetensors"],
    ],
  );
  await refusal("not_found", () => open({ [INDEX]: index }), "one.safetensors does not exist", "1 of the 3 tensors");
});

test("shards say what they hold, and an index only which of them there are", async () => {
  const checkpoint = await open({
    [INDEX]: {
      weight_map: { a: "one.safetensors", gone: "one.safetensors", b: "one.safetensors", c: "two.safetensors" },
    },
    "one.safetensors": weights(["a", [1]], ["c", [8]]),
    "two.safetensors": weights(["b", [2]], ["c", [3]], ["more", [4]]),
  });
  assert.equal([...checkpoint.tensors.keys()].sort(), ["a", "b", "c", "more"]);
  assert.equal(floats(await checkpoint.read("b", 0, 4)), [2]);
  assert.equal(floats(await checkpoint.read("c", 0, 4)), [3]);
});

test("an index of more files than any model has", async () => {
  const weight_map = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`t${i}`, `${i}.safetensors`]));
  await refusal("bad_file", () => open({ [INDEX]: { weight_map } }), "5000 files");
});

test("float64 is read as float32, by any range", async () => {
  const values = Float64Array.of(1, 1 / 3, -1e300, 5);
  const file = writeSafetensors(new Map([["d", { dtype: "F64", shape: [4], bytes: new Uint8Array(values.buffer) }]]));
  const checkpoint = await open({ "model.safetensors": file });
  const { dtype, byteLength } = checkpoint.tensors.get("d") as { dtype: string; byteLength: number };
  assert.equal([dtype, byteLength], ["F32", 16]);
  const all = await checkpoint.read("d", 0, 16);
  assert.equal(floats(all), [1, Math.fround(1 / 3), -Infinity, 5]);
  assert.equal([...(await checkpoint.read("d", 3, 13))], [...all.subarray(3, 13)]);
  await refusal("usage", () => checkpoint.read("d", 0, 20), "16 bytes");
});

test("an index that is not one, or leads out of the folder", async () => {
  for (const index of [{}, [], null, { weight_map: [] }, { weight_map: "x" }]) {
    await refusal("bad_file", () => open({ [INDEX]: JSON.stringify(index) }), INDEX, "weight_map");
  }
  await refusal("bad_file", () => open({ [INDEX]: { weight_map: {} } }), "empty");
  for (const file of [
    "../x.safetensors",
    "/x.safetensors",
    "..\\x.safetensors",
    "C:x.safetensors",
    "a/b.safetensors",
    "",
    "x.bin",
    5,
  ]) {
    await refusal("bad_file", () => open({ [INDEX]: { weight_map: { a: file } } }), '"a"', JSON.stringify(file));
  }
});

test("a damaged header names its shard", async () => {
  const files = {
    [INDEX]: { weight_map: { a: "one.safetensors" } },
    "one.safetensors": weights(["a", [1, 2]]).subarray(0, -3),
  };
  await refusal("bad_file", () => open(files), "one.safetensors", '"a"', "only 5 bytes");
});

test("without safetensors the error names what the folder has and what to do", async () => {
  await refusal("not_found", () => open({ "config.json": {} }), "neither model.safetensors nor", "holds config.json");
  await refusal("not_found", () => open({ "pytorch_model.bin": "x" }), "only pytorch_model.bin", "save_pretrained");
  const ggufs = { "config.json": {}, "a.gguf": "x", "b.gguf": "x" };
  await refusal("not_found", () => open(ggufs), "only a.gguf, b.gguf", "one of the GGUF files");
  await refusal(
    "not_found",
    () => open({ "consolidated.safetensors": "x" }),
    "only consolidated.safetensors",
    "rename",
  );
});

test("an abort ends the opening", async () => {
  const source = await folder({ "model.safetensors": weights(["a", [1]]) });
  await refusal("aborted", () => openCheckpoint(source, AbortSignal.abort()));
});

test.run();
