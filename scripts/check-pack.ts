/**
 * Builds and packs the package twice, from two clean copies of the last commit, and compares the files by their digests:
 * anyone who builds a version gets the file that was published. The copies have other folders, times, time zones,
 * languages and masks of file modes; Node, npm and the dependencies are the same.
 *
 *   npm run pack:check
 *   npm run pack:check -- --keep FOLDER     the packed file is left in a folder
 *
 * The exit status is 1 if they differ; each difference is named.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { entriesOf, whatDiffers } from "./tarball.ts";

const root = join(fileURLToPath(import.meta.url), "../..");

interface Surroundings {
  readonly folder: string;
  /** Whether the sources have the time of now instead of the commit's. */
  readonly isTouched: boolean;
  readonly mask: number;
  readonly env: Readonly<Record<string, string>>;
}

const { values } = parseArgs({ options: { keep: { type: "string" } } });
const parent = mkdtempSync(join(tmpdir(), "sluice-pack-"));
try {
  const [one, other] = [
    pack({ folder: "a", isTouched: false, mask: 0o022, env: { TZ: "UTC", LANG: "C" } }),
    pack({ folder: "another folder", isTouched: true, mask: 0o002, env: { TZ: "Asia/Tokyo", LANG: "de_DE.UTF-8" } }),
  ];
  const [a, b] = [one, other].map((path) => readFileSync(path)) as [Buffer, Buffer];
  const [first, second] = [a, b].map((bytes) => createHash("sha256").update(bytes).digest("hex"));
  console.log(`${first}  ${basename(one)}, ${a.length} bytes\n${second}  the same from another folder`);
  if (first !== second) {
    const differences = whatDiffers(entriesOf(a), entriesOf(b));
    for (const difference of differences) console.log(`✘ ${difference}`);
    if (differences.length === 0) console.log("✘ the files are the same and their compression is not");
    process.exitCode = 1;
  } else if (values.keep !== undefined) {
    mkdirSync(values.keep, { recursive: true });
    copyFileSync(one, join(values.keep, basename(one)));
  }
} finally {
  rmSync(parent, { recursive: true, force: true });
}

/** @returns the packed file of a fresh copy */
function pack({ folder, isTouched, mask, env }: Surroundings): string {
  const copy = join(parent, folder);
  const before = process.umask(mask);
  try {
    mkdirSync(copy);
    const sources = execFileSync("git", ["archive", "HEAD"], { cwd: root, maxBuffer: 1 << 30 });
    execFileSync("tar", [isTouched ? "-xm" : "-x", "-C", copy], { input: sources });
    symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
    const options = { cwd: copy, env: { ...process.env, ...env } };
    execFileSync(process.execPath, ["scripts/build.mjs"], { ...options, stdio: "inherit" });
    // The build is done; npm would do it again.
    const said = execFileSync("npm", ["pack", "--ignore-scripts", "--json"], { ...options, encoding: "utf8" });
    const [{ filename }] = JSON.parse(said) as [{ filename: string }];
    return join(copy, filename);
  } finally {
    process.umask(before);
  }
}
