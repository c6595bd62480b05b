/** Which files of a repository are fetched: what a model needs, and one set of weights. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { neededFiles } from "../../src/hub/needed-files.ts";
import { refusal } from "../formats/refusal.ts";

const nothing = { file: null, quantization: null };

test("safetensors come before GGUF, and pickles, other frameworks' weights and everything else stay", () => {
  const names = [
    ".gitattributes",
    "README.md",
    "config.json",
    "consolidated.safetensors",
    "flax_model.msgpack",
    "generation_config.json",
    "merges.txt",
    "model.Q4_K_M.gguf",
    "model.safetensors",
    "model.safetensors.index.json",
    "onnx/model.onnx",
    "original/consolidated.00.pth",
    "pytorch_model.bin",
    "tf_model.h5",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "additional_chat_templates/tools.jinja",
  ];
  assert.equal(neededFiles(names, nothing, "org/name"), {
    small: [
      "config.json",
      "generation_config.json",
      "tokenizer_config.json",
      "tokenizer.json",
      "additional_chat_templates/tools.jinja",
    ],
    weights: ["model.safetensors"],
    index: null,
    gguf: null,
    notice: null,
  });
});

test("without tokenizer.json the older files are fetched, and an index says which shards", () => {
  const names = [
    "config.json",
    "vocab.json",
    "merges.txt",
    "model.safetensors.index.json",
    "model-00001-of-00002.safetensors",
  ];
  const { small, weights, index } = neededFiles(names, nothing, "org/name");
  assert.equal(small, ["config.json", "vocab.json", "merges.txt", "model.safetensors.index.json"]);
  assert.equal([weights, index], [[], "model.safetensors.index.json"]);
});

test("a quantisation names its GGUF file whatever the file is called, and all its parts", async () => {
  const names = [
    "a-Q4_K_M.gguf",
    "a-Q4_K_S.gguf",
    "a.q8_0.gguf",
    "mmproj-a-F16.gguf",
    "Q6_K/a-Q6_K-00001-of-00002.gguf",
    "Q6_K/a-Q6_K-00002-of-00002.gguf",
    "config.json",
  ];
  const weights = (quantization: string) => neededFiles(names, { file: null, quantization }, "org/name").weights;
  assert.equal(weights("Q4_K_M"), ["a-Q4_K_M.gguf"]);
  assert.equal(weights("q4_k_s"), ["a-Q4_K_S.gguf"]);
  assert.equal(weights("Q8_0"), ["a.q8_0.gguf"]);
  assert.equal(weights("Q6_K"), ["Q6_K/a-Q6_K-00001-of-00002.gguf", "Q6_K/a-Q6_K-00002-of-00002.gguf"]);
  // A part of a name is not the name, and a projector is no model.
  await refusal("not_found", () => weights("Q4_K"), "no GGUF file of Q4_K", "a-Q4_K_M.gguf");
  await refusal("not_found", () => weights("F16"), "no GGUF file of F16");
});

test("a named file is fetched alone, and a repository of GGUF files has a usual one", async () => {
  const names = ["a-Q2_K.gguf", "a-Q4_K_M.gguf", "a-Q8_0.gguf", "README.md"];
  const named = neededFiles(names, { file: "a-Q2_K.gguf", quantization: null }, "org/name");
  assert.equal([named.small, named.weights, named.gguf, named.notice], [[], ["a-Q2_K.gguf"], "a-Q2_K.gguf", null]);
  const usual = neededFiles(names, nothing, "org/name");
  assert.is(usual.gguf, "a-Q4_K_M.gguf");
  assert.match(usual.notice ?? "", /no safetensors; its a-Q4_K_M\.gguf is used of 3/);
  const other = { file: "b.gguf", quantization: null };
  await refusal("not_found", () => neededFiles(names, other, "org/name"), "no file b.gguf", "There are a-Q2_K.gguf");
  const parts = ["a-00001-of-00002.gguf"];
  await refusal("not_found", () => neededFiles(parts, nothing, "org/name"), "a-00002-of-00002.gguf is not in");
});

test("an adapter is its configuration and its weights", () => {
  const { small, weights } = neededFiles(["adapter_config.json", "adapter_model.safetensors"], nothing, "org/name");
  assert.equal([small, weights], [["adapter_config.json"], ["adapter_model.safetensors"]]);
});

test("paths that would leave the folder are never fetched", () => {
  const names = [
    "config.json",
    "../../model.safetensors",
    "additional_chat_templates/..\\x.jinja",
    "model.safetensors",
  ];
  assert.equal(neededFiles(names, nothing, "org/name").weights, ["model.safetensors"]);
  assert.equal(neededFiles(names, nothing, "org/name").small, ["config.json"]);
});

test.run();
