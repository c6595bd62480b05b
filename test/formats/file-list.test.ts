import { test } from "uvu";
import * as assert from "uvu/assert";
import { openSource } from "../../src/formats/open-source.ts";
import { readJson, readText } from "../../src/formats/source.ts";
import { refusal } from "./refusal.ts";

/** A file as `<input type="file" webkitdirectory>` gives it. */
function picked(path: string, content: BlobPart): File {
  const file = new File([content], path.split("/").at(-1) ?? "");
  Object.defineProperty(file, "webkitRelativePath", { value: path });
  return file;
}

test("a picked folder's files are known by their paths inside it", async () => {
  const source = await openSource([
    picked("my model/config.json", '{"a":1}'),
    picked("my model/sub/x.bin", Uint8Array.of(1, 2, 3)),
  ]);
  assert.is(source.label, "my model");
  assert.equal(await source.list(), ["config.json", "sub/x.bin"]);
  assert.equal(await readJson(source, "config.json"), { a: 1 });
  assert.is(await source.size("sub/x.bin"), 3);
  assert.equal(await source.read("sub/x.bin", 1, 3), Uint8Array.of(2, 3));
  assert.is(await source.exists("config.json"), true);
  assert.is(await source.exists("x.bin"), false);
});

test("an input's FileList, which is not an array, works like one", async () => {
  const list = { length: 1, 0: new File(["[1]"], "config.json"), item: () => null };
  const source = await openSource(list);
  assert.equal(await readJson(source, "config.json"), [1]);
  source.close();
});

test("files picked singly are known by their names", async () => {
  const source = await openSource([new File(["\uFEFFhi"], "vocab.txt")]);
  assert.is(await readText(source, "vocab.txt"), "hi");
});

test("missing and wrongly chosen files are reported", async () => {
  await refusal("usage", () => openSource([]), "No files");
  await refusal("usage", () => openSource([new File([], "a"), new File([], "a")]), "called a");
  await refusal("usage", () => openSource(5 as unknown as string), "number");
  await refusal("usage", () => openSource(" "), "empty");
  const source = await openSource([picked("m/a", "abc")]);
  await refusal("not_found", () => source.read("b", 0, 1), "b is not among", "m");
  await refusal("bad_file", () => source.read("a", 0, 4), "m: a", "byte 3", "4");
  await refusal("usage", () => source.read("a", 2, 1), "2 to 1");
  await refusal("bad_file", () => source.readAll("a", 2), "2 bytes", "3 bytes");
});

test("text that is not UTF-8 and JSON that is not JSON are damaged files", async () => {
  const source = await openSource([
    new File([Uint8Array.of(0xff)], "a.txt"),
    new File(["version https://git-lfs"], "b.json"),
  ]);
  await refusal("bad_file", () => readText(source, "a.txt"), "a.txt", "UTF-8");
  await refusal("bad_file", () => readJson(source, "b.json"), "b.json", "a Git LFS pointer", "git lfs pull");
});

test("an abort and a closed source end reads", async () => {
  const source = await openSource([new File(["abc"], "a")]);
  await refusal("aborted", () => source.read("a", 0, 1, AbortSignal.abort()));
  await source.close();
  await source.close();
  await refusal("usage", () => source.read("a", 0, 1), "closed");
});

test.run();
