/** `sluice` from its sources, for a process that is to be killed. */
import { main } from "../../src/cli/main.ts";

process.exitCode = await main(process.argv.slice(2));
