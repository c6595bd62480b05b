/** Names of models on a hub, and what is no such name. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { isPlainPath, parseReference, showReference } from "../../src/hub/reference.ts";

test("a name may have a revision, a file or a quantisation", () => {
  const read = (text: string) => {
    const { repo, revision, file, quantization, isExplicit } = parseReference(text) ?? {};
    return [repo, revision, file, quantization, isExplicit];
  };
  assert.equal(read("org/name"), ["org/name", "main", null, null, false]);
  assert.equal(read("hf://org/name"), ["org/name", "main", null, null, true]);
  assert.equal(read("Org-1/na.me_2@v1.0"), ["Org-1/na.me_2", "v1.0", null, null, false]);
  assert.equal(read("org/name@refs/pr/3"), ["org/name", "refs/pr/3", null, null, false]);
  assert.equal(read("org/name@feature/x"), ["org/name", "feature/x", null, null, false]);
  assert.equal(read("org/name:Q4_K_M"), ["org/name", "main", null, "Q4_K_M", false]);
  assert.equal(read("org/name@abc1234:q8_0"), ["org/name", "abc1234", null, "q8_0", false]);
  assert.equal(read("org/name/a.gguf"), ["org/name", "main", "a.gguf", null, false]);
  assert.equal(read("org/name/sub/a-00001-of-00002.gguf"), [
    "org/name",
    "main",
    "sub/a-00001-of-00002.gguf",
    null,
    false,
  ]);
  assert.equal(read("org/name@v2/sub/a.gguf"), ["org/name", "v2", "sub/a.gguf", null, false]);
  assert.equal(read("org/name@refs/pr/3/a.gguf"), ["org/name", "refs/pr/3", "a.gguf", null, false]);
  assert.equal(read("https://huggingface.co/org/name"), ["org/name", "main", null, null, true]);
  assert.equal(read("https://hf.co/org/name/tree/v2"), ["org/name", "v2", null, null, true]);
  assert.equal(read("https://huggingface.co/org/name/blob/main/a.gguf"), ["org/name", "main", "a.gguf", null, true]);
  assert.equal(read("org/name/a.gguf@v2"), ["org/name", "v2", "a.gguf", null, false]);
});

test("paths, addresses and ids that the hub does not allow are no names", () => {
  for (const text of [
    "name",
    "./org/name",
    "../org/name",
    "/org/name",
    "org/name/",
    "org/name/folder",
    "org/name/model.bin",
    "https://host/name",
    "https://huggingface.co/datasets/name",
    "https://huggingface.co/org/name/resolve/main",
    "org//name",
    "-org/name",
    "org/.name",
    "org/na--me",
    "org/na..me",
    "org/name.git",
    "org/name@",
    "org/name@../x",
    "org/name:",
    "org/name/../a.gguf",
    "org/name/a.gguf:Q4_0",
    "org\\name",
    "",
  ]) {
    assert.is(parseReference(text), null, text);
  }
});

test("a reference is shown as it is written", () => {
  for (const text of ["org/name", "org/name@v1", "org/name:Q4_0", "org/name@v1/sub/a.gguf"]) {
    const reference = parseReference(text);
    assert.is(reference && showReference(reference), text);
  }
});

test("a repository's path that could leave its folder on any system is refused", () => {
  for (const path of ["a/../b", "/a", "a//b", "..", "a\\b", "C:a", "a\0", "a?b", ""])
    assert.is(isPlainPath(path), false, path);
  assert.is(isPlainPath("sub/model-00001-of-00002.safetensors"), true);
});

test.run();
