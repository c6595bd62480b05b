#!/usr/bin/env node
// Starts the command line that scripts/build.mjs makes; `npm ci` builds it in a checkout.
import { existsSync, readFileSync } from "node:fs";

const cli = new URL("../dist/cli.js", import.meta.url);
if (!existsSync(cli)) {
  console.error("sluice: this checkout has not been built. Run `npm run build` in it.");
  process.exit(1);
}
const { main } = await import(cli.href);
const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
process.exitCode = await main(process.argv.slice(2), { version });
