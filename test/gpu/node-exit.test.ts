/** A process that ends while its device computes ends with its own exit code: of the built package, which starts sooner. */
import { spawn } from "node:child_process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { location } from "../support/files.ts";

const script = `
const { load } = await import(${JSON.stringify(new URL("../../dist/index.js", import.meta.url).href)});
const model = await load(${JSON.stringify(location("weights/stories260K"))}, { adapter: "swiftshader" });
let count = 0;
for await (const _ of model.generate("Once upon a time", { maxNewTokens: 400 })) if (++count === 20) process.exit(7);
`;

test("a process that ends while its device computes ends with its own exit code", async () => {
  // Without care for the device, most such processes crash, not all.
  const codes = await Promise.all(
    [1, 2].map(() => {
      const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
        stdio: "ignore",
      });
      return new Promise((resolve) => child.once("exit", (code, signal) => resolve(signal ?? code)));
    }),
  );
  assert.equal(codes, [7, 7]);
});

test.run();
