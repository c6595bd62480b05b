/** A fit in a process of its own, which tells of each sentence and is to be killed. */
import { keptFit } from "./kept-fit.ts";

await keptFit(process.argv[2] ?? "", undefined, (done) => process.send?.(done));
process.exit(0);
