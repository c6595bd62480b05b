/** Vulkan drivers are found where they describe themselves, and the environment stays as it was. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { findDriverFiles, loadError, loadVulkanLoader, withDriverFiles } from "../../src/gpu/node-vulkan.ts";

const test = suite("vulkan");
let scratch: string;

test.before(async () => {
  scratch = await mkdtemp(join(tmpdir(), "sluice-test-"));
  await mkdir(join(scratch, "vulkan/icd.d"), { recursive: true });
  for (const name of ["b.json", "a.json", "notes.txt"]) await writeFile(join(scratch, "vulkan/icd.d", name), "{}");
});

test.after(() => rm(scratch, { recursive: true }));

const file = (name: string) => join(scratch, "vulkan/icd.d", name);

test("the folders of the XDG variables are searched", () => {
  for (const variable of ["XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_DATA_DIRS", "XDG_CONFIG_DIRS"]) {
    const { files } = findDriverFiles({ HOME: "", [variable]: scratch });
    assert.equal(files.slice(0, 2), [file("a.json"), file("b.json")], variable);
  }
});

test("empty variables count as unset", () => {
  const empty = { HOME: "", XDG_DATA_DIRS: "", XDG_CONFIG_DIRS: "", XDG_DATA_HOME: "", VK_DRIVER_FILES: "" };
  assert.equal(findDriverFiles(empty), findDriverFiles({ HOME: "" }));
});

test("the user's drivers replace all others", () => {
  const named = { HOME: "", XDG_DATA_HOME: scratch, VK_DRIVER_FILES: file("b.json") };
  assert.equal(findDriverFiles(named), { files: [file("b.json")], origin: `VK_DRIVER_FILES=${file("b.json")}` });
  const older = { HOME: "", XDG_DATA_HOME: scratch, VK_ICD_FILENAMES: `${file("b.json")}:${file("a.json")}` };
  assert.equal(findDriverFiles(older).files, [file("b.json"), file("a.json")]);
  const folder = { HOME: "", VK_DRIVER_FILES: join(scratch, "vulkan/icd.d") };
  assert.equal(findDriverFiles(folder).files, [file("a.json"), file("b.json")]);
  assert.equal(findDriverFiles({ VK_DRIVER_FILES: file("none.json") }), {
    files: [],
    origin: `VK_DRIVER_FILES=${file("none.json")}`,
  });
});

test("the environment names the drivers only while they are used", () => {
  const saved = process.env.VK_ICD_FILENAMES;
  process.env.VK_ICD_FILENAMES = "mine.json";
  try {
    const before = { ...process.env };
    const seen = withDriverFiles(["a.json", "b.json"], () => [
      process.env.VK_DRIVER_FILES,
      process.env.VK_ICD_FILENAMES,
    ]);
    assert.equal(seen, ["a.json:b.json", "a.json:b.json"]);
    assert.equal({ ...process.env }, before);
    assert.throws(() =>
      withDriverFiles(["a.json"], () => {
        throw new Error("within");
      }),
    );
    assert.equal({ ...process.env }, before);
  } finally {
    if (saved === undefined) delete process.env.VK_ICD_FILENAMES;
    else process.env.VK_ICD_FILENAMES = saved;
  }
});

test("the reason why a library does not load is reported", async () => {
  await writeFile(join(scratch, "text.so"), "no library");
  assert.match(loadError(join(scratch, "none.so")) ?? "", /No such file/);
  assert.match(loadVulkanLoader(join(scratch, "text.so")) ?? "", /text\.so/);
});

test.run();
