// Stops a release that would publish something else than its tag says:
//
//   node scripts/check-release.mjs v1.2.3 OWNER/NAME
import { readFileSync } from "node:fs";

/** @param {string} path */
const read = (path) => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
const [tag, repository] = process.argv.slice(2);
if (tag === undefined || repository === undefined)
  throw new Error("usage: node scripts/check-release.mjs TAG OWNER/NAME");
const { version, repository: named } = JSON.parse(read("package.json"));
const address = typeof named === "string" ? named : (named?.url ?? "");
const faults = [
  tag !== `v${version}` && `the tag is ${tag} and package.json has ${version}`,
  !read("CHANGELOG.md").includes(`\n## [${version}]`) && `CHANGELOG.md has no section [${version}]`,
  // Without it the registry refuses the provenance.
  !address.replace(/\.git$/, "").endsWith(`/${repository}`) &&
    `package.json's "repository" is ${address || "missing"}: it must be the address of ${repository}`,
].filter((fault) => fault !== false);
for (const fault of faults) console.error(`✘ ${fault}`);
process.exitCode = faults.length > 0 ? 1 : 0;
