/** The carried driver is unpacked once, whole, where it can be, and again when it was damaged. */
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  type Carrier,
  cacheFolders,
  findCarrier,
  findUnpacked,
  type SoftwareDriver,
  unpackDriver,
} from "../../src/gpu/node-swiftshader.ts";
import { refusal } from "../formats/refusal.ts";

const test = suite("swiftshader");
const variables = ["HOME", "XDG_CACHE_HOME", "TMPDIR"] as const;
const saved = variables.map((name) => process.env[name]);
let scratch: string;

test.before.each(async () => {
  scratch = await mkdtemp(join(tmpdir(), "sluice-test-"));
});

test.after.each(async () => {
  variables.forEach((name, i) => {
    const value = saved[i];
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  });
  await rm(scratch, { recursive: true });
});

async function carrier(): Promise<Carrier> {
  const found = await findCarrier();
  assert.ok(found, "@sparticuz/chromium is a dev dependency");
  return found as Carrier;
}

function setEnvironment(values: Partial<Record<(typeof variables)[number], string>>): void {
  Object.assign(process.env, values);
}

async function isUsable(driver: SoftwareDriver): Promise<boolean> {
  const { ICD } = JSON.parse(await readFile(driver.icd, "utf8")) as { ICD: { library_path: string } };
  const library = join(dirname(driver.icd), ICD.library_path);
  return library === driver.library && (await stat(library)).size > 1e6 && (await stat(driver.loader)).size > 1e5;
}

test("empty and relative XDG variables count as unset, and so does an empty HOME", () => {
  const uid = process.getuid?.() ?? "user";
  const temporary = join(tmpdir(), `sluice-${uid}`);
  assert.equal(cacheFolders({ HOME: "/home/a", XDG_CACHE_HOME: "/c" }), [
    "/c/sluice",
    "/home/a/.cache/sluice",
    temporary,
  ]);
  assert.equal(cacheFolders({ HOME: "/home/a", XDG_CACHE_HOME: "" }), ["/home/a/.cache/sluice", temporary]);
  assert.equal(cacheFolders({ HOME: "/home/a", XDG_CACHE_HOME: "cache" }), ["/home/a/.cache/sluice", temporary]);
  assert.equal(cacheFolders({ HOME: "" }), [temporary]);
});

test("it is unpacked once, and only what is needed", async () => {
  setEnvironment({ XDG_CACHE_HOME: scratch, HOME: "", TMPDIR: scratch });
  const carried = await carrier();
  assert.is(await findUnpacked(carried), null);
  const driver = await unpackDriver(carried);
  assert.ok(await isUsable(driver));
  assert.ok(driver.icd.startsWith(join(scratch, "sluice", `swiftshader-${carried.version}`)));
  const { mtimeMs } = await stat(driver.library);
  assert.equal(await unpackDriver(carried), driver);
  assert.is((await stat(driver.library)).mtimeMs, mtimeMs);
  assert.equal(await readdir(join(scratch, "sluice")), [`swiftshader-${carried.version}`]);
  assert.is((await readdir(dirname(driver.icd))).length, 4);
});

test("damage is noticed and mended", async () => {
  setEnvironment({ XDG_CACHE_HOME: scratch, HOME: "", TMPDIR: scratch });
  const carried = await carrier();
  const driver = await unpackDriver(carried);
  const damages: readonly (() => Promise<void>)[] = [
    () => truncate(driver.library, 1000),
    async () => {
      const bytes = await readFile(driver.library);
      bytes[12345] = (bytes[12345] as number) ^ 1;
      await writeFile(driver.library, bytes);
    },
    () => rm(driver.loader),
    () => writeFile(join(dirname(driver.icd), "sha256.json"), "{"),
    async () => {
      await rm(dirname(driver.icd), { recursive: true });
      await writeFile(dirname(driver.icd), "a file in the folder's place");
    },
  ];
  for (const damage of damages) {
    await damage();
    assert.is(await findUnpacked(carried), null);
    assert.ok(await isUsable(await unpackDriver(carried)));
    assert.ok(await findUnpacked(carried));
  }
  assert.equal(await readdir(join(scratch, "sluice")), [`swiftshader-${carried.version}`]);
});

test("many may unpack at once, over a damaged copy too", async () => {
  setEnvironment({ XDG_CACHE_HOME: scratch, HOME: "", TMPDIR: scratch });
  const carried = await carrier();
  for (let round = 0; round < 2; round++) {
    const drivers = await Promise.all(Array.from({ length: 4 }, () => unpackDriver(carried)));
    for (const driver of drivers) assert.ok(await isUsable(driver));
    assert.equal(await readdir(join(scratch, "sluice")), [`swiftshader-${carried.version}`]);
    await truncate((drivers[0] as SoftwareDriver).library, 10);
  }
});

test("a folder that cannot be written is passed over for the temporary one", async () => {
  setEnvironment({ XDG_CACHE_HOME: "/dev/null", HOME: "/dev/null", TMPDIR: scratch });
  const driver = await unpackDriver(await carrier());
  assert.ok(driver.icd.startsWith(scratch));
  assert.ok(await isUsable(driver));
  assert.equal(await findUnpacked(await carrier()), driver);
});

test("with nowhere to write, the error says where was tried and what to set", async () => {
  setEnvironment({ XDG_CACHE_HOME: "/dev/null/a", HOME: "", TMPDIR: "/dev/null/b" });
  const carried = await carrier();
  await refusal("no_adapter", () => unpackDriver(carried), "/dev/null/a/sluice", "/dev/null/b", "Set XDG_CACHE_HOME");
});

test("nothing is loaded from a temporary folder that others can write to, or that is a link", async () => {
  setEnvironment({ XDG_CACHE_HOME: "", HOME: "", TMPDIR: scratch });
  const carried = await carrier();
  const folder = cacheFolders()[0] as string;
  await mkdir(folder);
  await chmod(folder, 0o777);
  await refusal("no_adapter", () => unpackDriver(carried), folder, "another user");
  await rm(folder, { recursive: true });
  await mkdir(join(scratch, "elsewhere"));
  await symlink(join(scratch, "elsewhere"), folder);
  await refusal("no_adapter", () => unpackDriver(carried), folder, "another user");
});

test("a damaged package is reported, with the command that repairs it", async () => {
  setEnvironment({ XDG_CACHE_HOME: scratch, HOME: "", TMPDIR: scratch });
  const archive = join(scratch, "swiftshader.tar.br");
  const bytes = await readFile((await carrier()).archive);
  await writeFile(archive, bytes.subarray(0, bytes.length / 2));
  const broken = { version: "1.2.3", archive };
  await refusal("bad_file", () => unpackDriver(broken), archive, "npm install @sparticuz/chromium");
  await rm(archive);
  await refusal("bad_file", () => unpackDriver(broken), archive, "ENOENT");
});

test.run();
