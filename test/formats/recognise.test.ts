/** Files that are something else than their place says are named, with what helps. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { noConfig, noWeights } from "../../src/formats/foreign-folder.ts";
import { openPlace } from "../../src/formats/open-source.ts";
import { type Expected, recognise } from "../../src/formats/recognise.ts";
import { parseSafetensors, writeSafetensors } from "../../src/formats/safetensors.ts";
import { readHeader } from "../../src/formats/safetensors-header.ts";
import { readJson, readText } from "../../src/formats/source.ts";
import { readBundle } from "../../src/interventions/bundle.ts";
import { refusal } from "./refusal.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const bytes = (...parts: readonly (string | readonly number[])[]) =>
  Uint8Array.from(parts.flatMap((part) => (typeof part === "string" ? [...encode(part)] : part)));
/** A zip's local header for its first entry. */
const zip = (name: string) => bytes("PK\u0003\u0004", new Array(22).fill(0), [name.length, 0, 0, 0], name, "data");
const POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n";

const kinds: readonly [title: string, file: Uint8Array, expected: Expected, what: RegExp, hint: RegExp][] = [
  ["Git LFS pointer", bytes(POINTER), "weights", /Git LFS pointer/, /git lfs pull/],
  ["HTML page", bytes("\n<!DOCTYPE html><html>"), "json", /HTML page/, /resolve/],
  ["HTML page with a byte order mark", bytes([0xef, 0xbb, 0xbf], "<html>"), "weights", /HTML/, /login/],
  ["GGUF as a bundle", bytes("GGUF", [3, 0, 0, 0]), "bundle", /GGUF/, /sluice bundle import/],
  ["GGUF as weights", bytes("GGUF", [3, 0, 0, 0]), "weights", /GGUF/, /the GGUF file itself/],
  ["PyTorch zip", zip("archive/data.pkl"), "bundle", /PyTorch/, /sluice bundle import/],
  ["PyTorch zip as weights", zip("x/.format_version"), "weights", /PyTorch/, /save_pretrained/],
  ["old PyTorch pickle", bytes([0x80, 2, 0x8a, 10]), "weights", /pickle/, /save_pretrained/],
  ["npz", zip("arr_0.npy"), "bundle", /\.npz/, /sluice bundle import/],
  ["npy", bytes([0x93], "NUMPY", [1, 0]), "bundle", /\.npy/, /sluice bundle import/],
  ["npy as text", bytes([0x93], "NUMPY", [1, 0]), "text", /\.npy/, /safetensors\.numpy/],
  ["zip", zip("config.json"), "weights", /zip archive/, /Unpack/],
  ["gzip", bytes([0x1f, 0x8b, 8]), "json", /gzip/, /Unpack/],
  ["tar", bytes(new Array(257).fill(65), "ustar"), "weights", /tar/, /Unpack/],
  ["HDF5", bytes([0x89], "HDF\r\n", [0x1a], "\n"), "weights", /HDF5/, /save_pretrained/],
  ["UTF-16", bytes([0xff, 0xfe], "{\0"), "json", /UTF-16/, /UTF-8/],
  ["safetensors as JSON", writeSafetensors(new Map()), "json", /safetensors/, /again/],
  ["a server's words", bytes("Entry not found"), "weights", /"Entry not found"/, /address/],
  ["JSON as weights", bytes('{"a": 1}'), "weights", /JSON/, /safetensors/],
  ["an empty file", bytes(""), "json", /empty/, /again/],
  ["zeros", new Uint8Array(64), "weights", /zeros/, /again/],
];

for (const [title, file, expected, what, hint] of kinds) {
  test(`recognised: ${title}`, () => {
    const found = recognise(file, expected);
    assert.match(found?.what ?? "", what);
    assert.match(found?.hint ?? "", hint);
  });
}

test("expected files are not called something else, nor are unknown ones", () => {
  assert.is(recognise(writeSafetensors(new Map()), "weights"), null);
  assert.is(recognise(bytes("GGUF"), "gguf"), null);
  assert.is(recognise(bytes('{"a":1}'), "json"), null);
  assert.is(recognise(bytes("{{ bos_token }}"), "text"), null);
  assert.is(recognise(bytes("a b\nc d\n"), "text"), null);
  assert.is(recognise(bytes("nonsense"), "weights"), null);
});

test("every reader names a Git LFS pointer", async () => {
  const source = await openPlace([
    new File([POINTER], "config.json"),
    new File([POINTER], "merges.txt"),
    new File([POINTER], "model.safetensors"),
  ]);
  await refusal("bad_file", () => readJson(source, "config.json"), "config.json: it is a Git LFS pointer");
  await refusal("bad_file", () => readText(source, "merges.txt"), "merges.txt: it is a Git LFS pointer");
  await refusal("bad_file", () => readHeader(source, "model.safetensors"), "model.safetensors: it is a Git LFS");
  await refusal("bad_file", () => parseSafetensors(encode(POINTER), "b.safetensors"), "b.safetensors: it is a Git LFS");
});

test("a bundle that is something else", async () => {
  await refusal("bad_file", () => readBundle(bytes("GGUF", [3, 0, 0, 0]), "v.gguf"), "GGUF", "sluice bundle import");
  const named = (name: string) =>
    writeSafetensors(new Map([[name, { dtype: "F32", shape: [1], bytes: new Uint8Array(4) }]]));
  await refusal("bad_bundle", () => readBundle(named("transformer.wte.weight"), "m"), "the weights of a model");
  await refusal("bad_bundle", () => readBundle(named("base_model.model.x.lora_A.weight"), "m"), "PEFT adapter");
});

const folder = (files: Readonly<Record<string, string>>) =>
  openPlace(Object.entries(files).map(([name, content]) => new File([content], name)));

const folders: readonly [title: string, files: Readonly<Record<string, string>>, parts: readonly string[]][] = [
  [
    "a PEFT adapter",
    { "adapter_config.json": '{"base_model_name_or_path":"org/base"}', "adapter_model.safetensors": "" },
    ["PEFT adapter of org/base", "merge_and_unload"],
  ],
  ["a damaged PEFT adapter", { "adapter_config.json": "{" }, ["PEFT adapter, not", "merge_and_unload"]],
  ["Meta's layout", { "params.json": "{}", "consolidated.00.pth": "", "tokenizer.model": "" }, ["params.json", "-hf"]],
  ["a tokenizer alone", { "tokenizer.model": "" }, ["a tokenizer but no model", "config.json"]],
  ["GGUF alone", { "m-Q4_K_M.gguf": "" }, ["m-Q4_K_M.gguf", "one of the GGUF files"]],
  ["PyTorch alone", { "pytorch_model.bin": "" }, ["pytorch_model.bin", "save_pretrained"]],
  ["ONNX alone", { "model.onnx": "" }, ["model.onnx", "save_pretrained"]],
  ["weights without config.json", { "model.safetensors": "" }, ["model.safetensors", "config.json"]],
  ["diffusers", { "model_index.json": "{}" }, ["diffusers"]],
  ["nothing of a model", { "a.txt": "" }, ["holds no model"]],
];

for (const [title, files, parts] of folders) {
  test(`a folder without config.json: ${title}`, async () => {
    const error = await noConfig(await folder(files));
    assert.is(error.code, "not_found");
    for (const part of ["config.json does not exist", ...parts]) assert.ok(error.message.includes(part), error.message);
  });
}

test("a folder one level too high, and a file's name that would flood a message", async () => {
  const file = new File(["{}"], "config.json");
  Object.defineProperty(file, "webkitRelativePath", { value: "top/inner/config.json" });
  const error = await noConfig(await openPlace([file]));
  assert.ok(error.message.includes("folder inner"), error.message);
  const long = await noConfig(await folder({ [`${"x".repeat(5000)}.gguf`]: "" }));
  assert.ok(long.message.length < 500);
});

test("weights that are missing next to a config.json", async () => {
  const files = { "config.json": "{}", "adapter_config.json": "{}", "adapter_model.safetensors": "" };
  const error = await noWeights(await folder(files), "neither a nor b");
  assert.ok(error.message.includes("PEFT adapter"), error.message);
});

test.run();
