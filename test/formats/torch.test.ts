/** PyTorch's files, read as data: what PyTorch itself finds in them, and what is refused. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { StridedArray } from "../../src/formats/strided.ts";
import { arrayIn } from "../../src/formats/torch/globals.ts";
import type { PickleValue } from "../../src/formats/torch/pickle.ts";
import { readTorchFile } from "../../src/formats/torch/torch-file.ts";
import { readBytes, readJson } from "../support/files.ts";
import { refusal } from "./refusal.ts";
import { pickle, shortText, tensor, torchZip } from "./torch-files.ts";

const FOLDER = "test/data/foreign/torch";

interface ExpectedTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly values: readonly number[];
  readonly sum: number;
}

const DTYPES: Readonly<Record<string, string>> = {
  "torch.float64": "F64",
  "torch.float32": "F32",
  "torch.float16": "F16",
  "torch.bfloat16": "BF16",
  "torch.int64": "I64",
  "torch.bool": "BOOL",
};

/** Compares what was read with what PyTorch printed. */
function compare(value: PickleValue | undefined, expected: unknown, where: string): void {
  if (isTensor(expected)) {
    const array = arrayIn(value);
    assert.ok(array, `${where} is an array`);
    assert.is(array.dtype, DTYPES[expected.dtype], where);
    assert.equal(array.shape, expected.shape, where);
    const values = array.values();
    assert.equal([...values.subarray(0, 8)], expected.values, where);
    const sum = values.reduce((total, each) => total + each, 0);
    assert.ok(Math.abs(sum - expected.sum) < 1e-5, `${where}: ${sum} is not ${expected.sum}`);
  } else if (Array.isArray(expected)) {
    assert.ok(Array.isArray(value) && value.length === expected.length, where);
    expected.forEach((each, i) => compare((value as PickleValue[])[i], each, `${where}[${i}]`));
  } else if (typeof expected === "object" && expected !== null) {
    assert.ok(value instanceof Map, where);
    for (const [key, each] of Object.entries(expected)) {
      compare(value.has(key) ? value.get(key) : value.get(Number(key)), each, `${where}.${key}`);
    }
  } else assert.equal(value, expected, where);
}

function isTensor(value: unknown): value is ExpectedTensor {
  return typeof value === "object" && value !== null && "dtype" in value;
}

test("files of PyTorch 1.13 have the values that PyTorch finds in them", async () => {
  const expected = (await readJson(`${FOLDER}/expected.json`)) as Record<string, unknown>;
  assert.is(Object.keys(expected).length, 14);
  for (const [name, each] of Object.entries(expected)) {
    compare(readTorchFile(await readBytes(`${FOLDER}/${name}`), name), each, name);
  }
});

test("a tensor of ours is read, so that the refusals below are about what is changed in it", () => {
  const array = arrayIn(readTorchFile(torchZip(pickle(tensor())), "t.pt")) as StridedArray;
  assert.equal([...array.values()], [0, 1, 2, 3]);
});

const text = (value: string): Uint8Array => shortText(value);

/** What it is, the pickle's body, and words of the refusal. */
const HOSTILE: readonly (readonly [string, readonly (string | number | Uint8Array)[], ...string[]])[] = [
  ["a call of the system", ["cposix\nsystem\n", text("true"), 0x85, "R"], "posix.system"],
  ["an import by stack", [text("builtins"), text("eval"), 0x93], "builtins.eval"],
  ["a getattr", ["c__builtin__\ngetattr\n"], "__builtin__.getattr"],
  ["torch's own loader", ["ctorch.storage\n_load_from_bytes\n"], "torch.storage._load_from_bytes"],
  ["a name with an escape", ["cos\u001b[2J\nsystem\n"], "not on the list"],
  ["an instruction that makes instances", ["(ios\nsystem\n"], "0x69"],
  ["a number as text", ["I1\n"], "0x49"],
  ["a shape beyond the storage", tensor({ shape: [5] }), "reaches element 4"],
  ["an offset beyond the storage", tensor({ offset: 1 }), "reaches element 4"],
  ["a stride beyond the storage", tensor({ stride: [2] }), "reaches element 6"],
  ["a negative offset", tensor({ offset: -1 }), "below 0"],
  ["a negative stride", tensor({ stride: [-1] }), "below 0"],
  ["a shape of 2^31 repeated elements", tensor({ shape: [2 ** 31 - 1], stride: [0] }), "claims 2147483647 elements"],
  ["a storage longer than its bytes", tensor({ count: 5 }), "shorter than it says"],
  ["a storage that is not there", tensor({ key: "../data.pkl" }), "no entry"],
  ["a recalled entry that is missing", ["h", 9], "recalls entry 9"],
  ["an empty stack", ["0"], "stack is empty"],
  ["a mark that is missing", ["t"], "mark is missing"],
  ["an integer of a gigabyte", [0x8b, 0, 0, 0, 0x40], "integer of 1073741824 bytes"],
  ["a text of four gigabytes", ["X", 0xff, 0xff, 0xff, 0xff], "ends within"],
  ["a dict with lists as keys", ["}", "]", "N", "s"], "keys"],
  ["a call of a text", [text("x"), ")", "R"], "cannot be called"],
];

for (const [what, body, ...words] of HOSTILE) {
  test(`refused: ${what}`, async () => {
    const file = torchZip(pickle(body));
    const begin = performance.now();
    await refusal("bad_file", () => readTorchFile(file, "evil.pt"), "evil.pt", ...words);
    assert.ok(performance.now() - begin < 1000);
  });
}

test("nesting without end is refused, and lists of themselves are read as they are", async () => {
  const begin = performance.now();
  const deep = new Uint8Array(2_000_000).fill("]".charCodeAt(0), 0, 1_000_000).fill("a".charCodeAt(0), 1_000_000);
  await refusal("bad_file", () => readTorchFile(torchZip(pickle([deep.subarray(0, -1)])), "deep.pt"), "without end");
  // A list that holds the one before twice, 30 times over: 2³⁰ leaves if it were copied.
  const doubled = Array.from({ length: 30 }, (_, i) => ["]", "q", i + 1, "h", i, "a", "h", i, "a"]).flat();
  assert.ok(Array.isArray(readTorchFile(torchZip(pickle(["]", "q", 0, ...doubled])), "bomb.pt")));
  const itself = ["]", "q", 0, "h", 0, "a"];
  assert.ok(Array.isArray(readTorchFile(torchZip(pickle(itself)), "itself.pt")));
  const took = performance.now() - begin;
  assert.ok(took < 2000, `${took} ms`);
});

test("instructions that only pile up are refused", async () => {
  const piles: readonly (readonly [first: string, opcode: number, count: number, says: string])[] = [
    ["", 0x28, 300_000, "lists within each other"],
    ["N", 0x94, 600_000, "remembers more than 524288 values"],
    ["", 0x4e, 1_100_000, "more than 1048576 values under way"],
  ];
  for (const [first, opcode, count, says] of piles) {
    const file = torchZip(pickle([first, new Uint8Array(count).fill(opcode)]));
    await refusal("bad_file", () => readTorchFile(file, "pile.pt"), says);
  }
});

test("a text that is made into bytes again and again is refused before it fills the memory", async () => {
  const long = "x".repeat(200);
  const calls = Array.from({ length: 400 }, () => ["h", 2, "h", 0, "h", 1, 0x86, "R"]).flat();
  const body = [text(long), "q", 0, text("latin1"), "q", 1, "c_codecs\nencode\n", "q", 2, ...calls];
  await refusal("bad_file", () => readTorchFile(torchZip(pickle(body)), "bytes.pt"), "more bytes");
});

test("archives that lie about themselves are refused", async () => {
  const good = torchZip(pickle(tensor()));
  for (let length = 0; length < good.length; length += 7) {
    await refusal("bad_file", () => readTorchFile(good.slice(0, length), "cut.pt"), "cut.pt");
  }
  const compressed = good.slice();
  const directory = new TextDecoder("latin1").decode(good).indexOf("PK\u0001\u0002");
  compressed[directory + 10] = 8;
  await refusal("bad_file", () => readTorchFile(compressed, "packed.pt"), "compressed");
});

test.run();
