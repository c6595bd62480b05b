/** Host memory of loading a model whose weights are much larger than what the host may hold of them. */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { location } from "../support/files.ts";

test("loading and running 270 MB of weights takes less than 200 MB in addition to the GPU's buffers", async () => {
  const folder = await mkdtemp(join(tmpdir(), "sluice-memory-"));
  const run = promisify(execFile);
  try {
    const shape = ["--shape", "smollm-135m", "--dtype", "f16"];
    await run(process.execPath, [location("scripts/make-synthetic.mjs"), folder, ...shape]);
    const script = location("scripts/measure-memory.mjs");
    const { stdout } = await run(process.execPath, [script, folder, "--runs", "1"]);
    const [, own] = /: (-?\d+) MiB of its own/.exec(stdout) ?? [];
    assert.ok(own !== undefined, stdout);
    assert.ok(Number(own) * 2 ** 20 < 200e6, stdout);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test.run();
