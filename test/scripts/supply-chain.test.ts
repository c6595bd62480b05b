/** What is installed with the package and with a checkout: no scripts, known licences, contents by their digests. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readJson } from "../support/files.ts";

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

test.run();
