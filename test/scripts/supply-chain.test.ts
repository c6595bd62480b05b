/** What is installed with the package and with a checkout: no scripts, known licences, contents by their digests. */
import { gzipSync } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { entriesOf, whatDiffers } from "../../scripts/tarball.ts";
import { thirdParty } from "../../scripts/third-party.ts";
import { readJson, readText } from "../support/files.ts";

interface Locked {
  readonly version?: string;
  readonly integrity?: string;
  readonly license?: string;
  readonly hasInstallScript?: boolean;
  readonly dev?: boolean;
  readonly link?: boolean;
}

const { packages } = await readJson<{ packages: Readonly<Record<string, Locked>> }>("package-lock.json");
const installed = Object.entries(packages).filter(([path, { link }]) => path !== "" && !link);
const nameOf = (path: string): string => path.replace(/^.*node_modules\//, "");

test("packages with an install script are the known ones, none of which may run", async () => {
  const { allowScripts } = await readJson<{ allowScripts: Readonly<Record<string, boolean>> }>("package.json");
  const scripted = installed.filter(([, { hasInstallScript }]) => hasInstallScript).map(([path]) => nameOf(path));
  assert.equal([...new Set(scripted)].sort(), Object.keys(allowScripts).sort());
  assert.ok(Object.values(allowScripts).every((isAllowed) => !isAllowed));
});

test("every dependency has a digest and a licence that allows its use", () => {
  const known = /^(?:MIT|Apache-2\.0|ISC|0BSD|BSD-[23]-Clause|MPL-2\.0|BlueOak-1\.0\.0|Python-2\.0)$/;
  for (const [path, { integrity, license = "" }] of installed) {
    assert.ok(integrity, `${path} has no digest`);
    assert.ok(
      license.split(" OR ").some((each) => known.test(each)),
      `${path} is under ${license || "no licence"}`,
    );
  }
});

test("THIRD-PARTY.md has every package of the lock file; npm run third-party writes it", async () => {
  assert.is(await readText("THIRD-PARTY.md"), await thirdParty());
});

test("what differs between two packed files is named", () => {
  const tar = (files: Readonly<Record<string, string>>, mode = "000644") =>
    entriesOf(gzipSync(Buffer.concat([...Object.entries(files).map((file) => tarEntry(...file, mode)), zeros])));
  const [one, same] = [
    tar({ "package/a.js": "1", "package/b.js": "2" }),
    tar({ "package/a.js": "1", "package/b.js": "2" }),
  ];
  assert.equal(whatDiffers(one, same), []);
  assert.equal(whatDiffers(one, tar({ "package/a.js": "1", "package/b.js": "/tmp/2" })), [
    'package/b.js: from byte 0, "2" and "/tmp/2"',
  ]);
  assert.equal(whatDiffers(one, tar({ "package/a.js": "1", "package/c.js": "2" })), [
    "package/b.js is in the first alone",
    "package/c.js is in the second alone",
  ]);
  assert.equal(whatDiffers(one, tar({ "package/b.js": "2", "package/a.js": "1" })), ["the files are in another order"]);
  assert.match(
    whatDiffers(one, tar({ "package/a.js": "1", "package/b.js": "2" }, "000755")).join(),
    /a\.js: its header/,
  );
});

const zeros = Buffer.alloc(1024);

function tarEntry(path: string, text: string, mode: string): Buffer {
  const block = Buffer.alloc(1024);
  block.write(path);
  block.write(mode, 100);
  block.write(text.length.toString(8).padStart(11, "0"), 124);
  block.write("0", 156);
  block.write(text, 512);
  return block;
}

test.run();
