/** Files that the command line reads and writes: how failures are distinguished. */
import { execFileSync, spawnSync } from "node:child_process";
import { chmod, mkdir, readdir, readFile, readlink, rm, stat, symlink, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { bundleImport } from "../../src/cli/commands/bundle-import.ts";
import type { CommandContext } from "../../src/cli/context.ts";
import { freshPath } from "../../src/cli/fresh-path.ts";
import { prepareOutFolder, writeModelFolder } from "../../src/cli/model-folder.ts";
import { prepareOutFile, writeTogether } from "../../src/cli/out-file.ts";
import { writePipe } from "../../src/cli/pipe.ts";
import { readWholeFile } from "../../src/cli/read-file.ts";
import { FileStore } from "../../src/cli/response-store.ts";
import { refusal } from "../formats/refusal.ts";
import { inFolder } from "../support/folder.ts";

const quiet = new AbortController().signal;

test("a file that cannot be read is not found, unless the caller has stopped", () =>
  inFolder(async (folder) => {
    const none = join(folder, "none");
    await refusal(
      "not_found",
      () => readWholeFile(none, quiet, "Look there."),
      `${none} cannot be read`,
      "Look there.",
    );
    await refusal("aborted", () => readWholeFile(none, AbortSignal.abort()));
    await writeFile(none, "ab");
    assert.equal([...(await readWholeFile(none, quiet))], [97, 98]);
    await refusal("aborted", () => readWholeFile(none, AbortSignal.abort()));
  }));

test("a command that is reading a file ends with its signal", () =>
  inFolder(async (folder) => {
    const raw = {
      positionals: [join(folder, "none"), "m"],
      options: new Map([["out", [join(folder, "out")]]]),
      named: new Map(),
      notices: [],
      help: false,
    };
    await refusal("aborted", () => bundleImport.start(raw, { signal: AbortSignal.abort() } as CommandContext));
  }));

test("an output keeps the permissions of what it replaces, and links stay links", () =>
  inFolder(async (folder) => {
    const modeOf = async (name: string): Promise<number> => (await stat(join(folder, name))).mode & 0o7777;
    const write = async (name: string): Promise<void> =>
      (await prepareOutFile(join(folder, name))).write(Uint8Array.of(1));
    // Nobody but the owner may read what is written, and nobody runs it as the owner.
    for (const [mode, kept] of [
      [0o600, 0o600],
      [0o4755, 0o755],
      [0o664, 0o664],
    ] as const) {
      await writeFile(join(folder, "old"), "");
      await chmod(join(folder, "old"), mode);
      await write("old");
      assert.is(await modeOf("old"), kept, mode.toString(8));
    }
    await symlink("old", join(folder, "link"));
    await symlink("later", join(folder, "dangling"));
    for (const name of ["link", "dangling"]) await write(name);
    assert.is(await readlink(join(folder, "link")), "old");
    assert.equal([...(await readFile(join(folder, "later")))], [1]);
    const model = join(folder, "model");
    await mkdir(model);
    await chmod(model, 0o700);
    await symlink("model", join(folder, "other"));
    await writeModelFolder(join(folder, "other"), { files: [] }, () => undefined, quiet);
    assert.is(await modeOf("model"), 0o700);
    assert.equal((await readdir(folder)).sort(), ["dangling", "later", "link", "model", "old", "other"]);
  }));

test("a failed write is reported as such", () =>
  inFolder(async (folder) => {
    const inner = join(folder, "inner");
    await mkdir(inner);
    const file = await prepareOutFile(join(inner, "file"));
    await rm(inner, { recursive: true });
    await refusal("not_written", () => file.write(new Uint8Array(1)), "file cannot be written");

    const store = await FileStore.open(join(inner, "fit"), {});
    await refusal("not_written", () => store.begin([{ rows: 1, width: 1 }]), "fit.partial cannot be written");

    const write = (path: string) => writeModelFolder(path, { files: [] }, () => undefined, quiet);
    await refusal("not_written", () => write(join(inner, "model")), "model cannot be written");
    // Made ready beside it, it cannot take the place of what is there by now.
    await mkdir(join(folder, "model", "full"), { recursive: true });
    await refusal("not_written", () => write(join(folder, "model")), "model cannot be written");
    assert.ok((await stat(join(folder, "model", "full"))).isDirectory());
  }));

test("what is no place for a file, or for a folder, is refused before the work", () =>
  inFolder(async (folder) => {
    await refusal("usage", () => prepareOutFile(join(folder, "out/")), "is a folder; name a file");
    await symlink("nothing", join(folder, "dangling"));
    await refusal("usage", () => prepareOutFolder(join(folder, "dangling")), "is a link to what does not exist");
  }));

test("the next run removes what one that was killed was writing there, and nothing else", () =>
  inFolder(async (folder) => {
    const dead = spawnSync("true").pid;
    const leftOf = (name: string, pid: number): string =>
      basename(freshPath(join(folder, name))).replace(`-${process.pid}-`, `-${pid}-`);
    const [file, model] = ["f".repeat(250), "model"];
    const kept = [leftOf("other", dead), leftOf(file, process.ppid), ".model.part"];
    for (const name of [leftOf(file, dead), ...kept]) await writeFile(join(folder, name), "part");
    await mkdir(join(folder, leftOf(model, dead)));
    await (await prepareOutFile(join(folder, file))).write(Uint8Array.of(1));
    await writeModelFolder(join(folder, model), { files: [] }, () => undefined, quiet);
    assert.equal((await readdir(folder)).sort(), [...kept, file, model].sort());
  }));

test("files that belong together are replaced together", () =>
  inFolder(async (folder) => {
    const [one, two] = [join(folder, "one"), join(folder, "two")];
    await writeFile(one, "old");
    const files = [await prepareOutFile(one), await prepareOutFile(two)] as const;
    const failing = { ...files[1], stage: async () => Promise.reject(new Error("No room")) };
    const bytes = new TextEncoder().encode("new");
    await writeTogether([
      [files[0], bytes],
      [failing, bytes],
    ]).catch(({ message }) => assert.is(message, "No room"));
    assert.equal([await readdir(folder), await readFile(one, "utf8")], [["one"], "old"]);
    await writeTogether([
      [files[0], bytes],
      [undefined, bytes],
      [files[1], bytes],
    ]);
    assert.equal([await readFile(one, "utf8"), await readFile(two, "utf8")], ["new", "new"]);
  }));

test("a pipe gets all bytes when somebody reads, and is not waited for in vain", () =>
  inFolder(async (folder) => {
    const pipe = join(folder, "pipe");
    execFileSync("mkfifo", [pipe]);
    const error = await writePipe(pipe, new Uint8Array(1), 40).catch((cause: unknown) => cause);
    assert.is((error as NodeJS.ErrnoException).code, "ENXIO");
    const bytes = Uint8Array.from({ length: 200_000 }, (_, i) => i % 251);
    const written = (await prepareOutFile(pipe)).write(bytes);
    assert.is(Buffer.compare(await readWholeFile(pipe, quiet), bytes), 0);
    await written;
  }));

test("a device without an end is read for a while", async () => {
  await refusal("bad_file", () => readWholeFile("/dev/zero", quiet, "", 100_000), "/dev/zero goes on after 100000");
});

test.run();
