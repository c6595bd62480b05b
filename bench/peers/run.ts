/** `npm run bench`: Sluice beside its peers, or with `--serve` a running batch (bench/serve.ts). */
import { argv } from "node:process";

const at = argv.indexOf("--serve");
if (at < 0) await import("./compare-peers.ts");
else {
  argv.splice(at, 1);
  await import("../serve.ts");
}
