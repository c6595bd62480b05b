/** The package's declarations in strict applications, without skipLibCheck, and what linters of packages say. */
import { cp } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import ts from "typescript-5.7";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { installPacked, output, root } from "../../scripts/packed.ts";

const require = createRequire(import.meta.url);
const strict = ["--noEmit", "--strict", "--exactOptionalPropertyTypes", "--target", "es2022"];
const dom = "ES2023,DOM,DOM.Iterable,DOM.AsyncIterable";

/** The oldest compiler that is supported, and today's, with and without the platform's types. */
const applications: readonly (readonly [compiler: string, ...options: string[]])[] = [
  ["typescript-5.7", "--module", "node16", "--lib", "ES2022"],
  [
    "typescript-5.7",
    "--module",
    "nodenext",
    "--lib",
    "ES2023",
    "--typeRoots",
    join(root, "node_modules/@types"),
    "--types",
    "node",
  ],
  [
    "typescript-5.7",
    "--module",
    "esnext",
    "--moduleResolution",
    "bundler",
    "--lib",
    dom,
    "--typeRoots",
    join(root, "node_modules"),
    "--types",
    "@webgpu/types",
  ],
  [
    "typescript",
    "--module",
    "nodenext",
    "--lib",
    "ES2023",
    "--typeRoots",
    join(root, "node_modules/@types"),
    "--types",
    "node",
  ],
  ["typescript", "--module", "esnext", "--moduleResolution", "bundler", "--lib", dom],
];

for (const [compiler, ...options] of applications) {
  test(`${compiler} ${options.filter((option) => !option.includes(root)).join(" ")}`, async () => {
    const { folder } = await installPacked();
    await cp(join(root, "test/package/app/types.ts"), join(folder, "types.ts"));
    const args = [...options, ...strict, join(folder, "types.ts")];
    assert.is(await (compiler === "typescript" ? compile(folder, args) : compileWithOldest(folder, args)), "");
  });
}

/** What today's compiler prints. */
async function compile(folder: string, args: readonly string[]): Promise<string> {
  const tsc = join(dirname(require.resolve("typescript/package.json")), "bin/tsc");
  return output(process.execPath, [tsc, ...args], folder).catch(
    (error: { stdout?: string }) => error.stdout ?? String(error),
  );
}

/** What the oldest one prints: in this process, where it becomes fast from one application to the next. */
function compileWithOldest(folder: string, args: readonly string[]): string {
  const { options, fileNames, errors } = ts.parseCommandLine(args);
  const host = { ...ts.createCompilerHost(options), getCurrentDirectory: () => folder };
  const program = ts.createProgram(fileNames, options, host);
  return ts.formatDiagnostics([...errors, ...ts.getPreEmitDiagnostics(program)], host);
}

test("publint and attw find nothing", async () => {
  const { folder, tarball } = await installPacked();
  const { messages, pkg } = await publint({ pkgDir: join(folder, "node_modules/sluice"), pack: false, strict: true });
  assert.equal(
    messages.map((message) => formatMessage(message, pkg)),
    [],
  );
  const attw = join(dirname(require.resolve("@arethetypeswrong/cli/package.json")), "dist/index.js");
  // It would read 1.5 MB of one line several times, for half of its time; app/types.ts imports that file.
  const options = ["--profile", "esm-only", "--no-emoji", "--exclude-entrypoints", "./sluice.min.js"];
  await output(process.execPath, [attw, tarball, ...options], folder);
});

test.run();
