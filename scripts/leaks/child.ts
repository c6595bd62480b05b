/** Repeats one kind of round, and samples memory on the way. Runs with --expose-gc. */
import { openGpu } from "../../src/gpu/open.ts";
import { type Resources, resources } from "../../src/index.ts";
import { allRounds } from "../../test/support/rounds.ts";

/** Memory after a number of rounds. */
export interface Sample {
  readonly round: number;
  readonly heap: number;
  readonly rss: number;
}

export interface Growth {
  readonly samples: readonly Sample[];
  /** What was held after the warm-up, and after the last round. */
  readonly before: Resources;
  readonly after: Resources;
  readonly msPerRound: number;
}

/** Samples of a run; the first quarter of all rounds is warm-up. */
const SAMPLES = 40;

/** Lets finalizers run: what the collector finds is freed in turns of the loop. */
async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) {
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const [name, count] = process.argv.slice(2);
const rounds = Number(count);
const kind = allRounds.find((each) => each.name === name);
if (!kind || !globalThis.gc) throw new Error("child.ts is started by leaks.ts");
const { device } = await openGpu();
const work = await kind.open(device);
const warmUp = Math.ceil(rounds / 4);
for (let turn = 0; turn < warmUp; turn++) await work.round(turn);
await settle();
const before = resources();
const samples: Sample[] = [];
let ms = 0;
for (let turn = 0; turn < rounds; turn++) {
  const began = performance.now();
  await work.round(turn);
  ms += performance.now() - began;
  if ((turn + 1) % Math.max(1, Math.floor(rounds / SAMPLES)) > 0) continue;
  await settle();
  const { heapUsed: heap, rss } = process.memoryUsage();
  samples.push({ round: turn + 1, heap, rss });
}
const growth: Growth = { samples, before, after: resources(), msPerRound: ms / rounds };
process.send?.(growth, () => process.exit(0));
