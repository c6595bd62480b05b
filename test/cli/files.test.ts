/** Files that the command line reads and writes: how failures are distinguished. */
import { mkdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { bundleImport } from "../../src/cli/commands/bundle-import.ts";
import type { CommandContext } from "../../src/cli/context.ts";
import { writeModelFolder } from "../../src/cli/model-folder.ts";
import { prepareOutFile } from "../../src/cli/out-file.ts";
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

test.run();
