/** The least Node that package.json promises is one on which everything in the lock file installs and runs. */
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";

interface Lock {
  readonly packages: Readonly<Record<string, { readonly engines?: { readonly node?: string } }>>;
}

type Version = readonly [number, number, number];

function versionOf(text: string): Version {
  const [major = 0, minor = 0, patch = 0] = text
    .replace(/^[^\d]*/, "")
    .split(".")
    .map(Number);
  return [major, minor, patch];
}

function isBelow(a: Version, b: Version): boolean {
  const at = a.findIndex((part, index) => part !== b[index]);
  return at >= 0 && (a[at] ?? 0) < (b[at] ?? 0);
}

/** Whether a version is in a range such as `^20.19.0 || >=22.12`; the operators that lock files hold. */
function isIn(version: Version, range: string): boolean {
  return range.split("||").some((part) =>
    [...part.matchAll(/(>=|\^|~|)\s*v?(\d+(?:\.\d+)*)/g)].every(([, operator, text = ""]) => {
      const least = versionOf(text);
      const sameMajor = operator === ">=" || least[0] === version[0];
      return sameMajor && !isBelow(version, least);
    }),
  );
}

/** A file of the checkout's root: pages are not served it. */
function readJson<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../../${name}`, import.meta.url), "utf8")) as T;
}

test("no package asks for a later Node than ours does", () => {
  const { engines } = readJson<{ engines: { node: string } }>("package.json");
  const least = versionOf(engines.node);
  const { packages } = readJson<Lock>("package-lock.json");
  const later = Object.entries(packages)
    .filter(([, { engines }]) => engines?.node !== undefined && !isIn(least, engines.node))
    .map(([name, { engines }]) => `${name}: ${engines?.node}`);
  assert.equal(later, []);
});

test("ranges are read as npm reads them", () => {
  assert.ok(isIn([20, 19, 0], "^20.19.0 || ^22.13.0 || >=23.5.0"));
  assert.not.ok(isIn([20, 9, 0], "^20.19.0 || >=22.12.0"));
  assert.not.ok(isIn([21, 0, 0], "^20.19.0 || >=22.12.0"));
  assert.ok(isIn([20, 19, 0], ">= 14.0"));
});

test.run();
