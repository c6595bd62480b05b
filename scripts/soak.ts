/**
 * A server under clients that generate, leave, stall and send rubbish, for some minutes: every answer must be the one that
 * the same request gets alone, and the server's memory must be flat.
 *
 *   npm run soak -- [MODEL] [--minutes N] [--clients N] [--seed N]
 *
 * MODEL is a folder (default: weights/stories260K). The exit code is 1 if an answer was wrong or lost, if the engine holds
 * 1 % more bytes in buffers at the end than after the first half of the time, or if the process grew by more than 5 %
 * since then.
 */
import { slopeOf } from "./soak/slope.ts";
import { soak } from "./soak/soak.ts";
import { readOptions, wholeNumber } from "./usage.ts";

const { values, positionals } = readOptions(import.meta.url, {
  allowPositionals: true,
  options: {
    minutes: { type: "string", default: "5" },
    clients: { type: "string", default: "32" },
    seed: { type: "string", default: "1" },
  },
});
const seconds = wholeNumber("minutes", values.minutes, 1) * 60;
const clients = wholeNumber("clients", values.clients, 1);
const model = positionals[0] ?? "weights/stories260K";
const { counts, tokens, faults, samples } = await soak({
  model,
  seconds,
  clients,
  seed: wholeNumber("seed", values.seed),
});

const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);
console.log(`${model}, ${clients} clients, ${seconds} s, ${tokens} tokens: ${JSON.stringify(counts)}`);
const columns = [
  "after",
  "RSS",
  "heap",
  "buffers of the engine",
  "their bytes",
  "sessions",
  "bind groups",
  "listeners",
];
console.log(`\n| ${columns.join(" | ")} |\n| ${columns.map(() => "---").join(" | ")} |`);
for (const { seconds: at, rss, heap, resources } of samples) {
  const { buffers, bytes, sessions, bind_groups, listeners } = resources;
  const cells = [`${at.toFixed(0)} s`, `${mib(rss)} MiB`, `${mib(heap)} MiB`, buffers, `${mib(bytes)} MiB`];
  console.log(`| ${[...cells, sessions, bind_groups, listeners].join(" | ")} |`);
}
const settled = samples.filter(({ seconds: at }) => at >= seconds / 2);
const rss = slopeOf(settled.map((sample) => [sample.seconds / 60, sample.rss / 2 ** 20]));
const heap = slopeOf(settled.map((sample) => [sample.seconds / 60, sample.heap / 2 ** 20]));
const shown = ({ slope, error }: { slope: number; error: number }): string =>
  `${slope.toFixed(2)} ± ${error.toFixed(2)} MiB per minute`;
console.log(`\nafter the first half: RSS ${shown(rss)}, heap ${shown(heap)} (slope and its standard error)`);
const [first, last] = [settled[0], settled.at(-1)];
const hasGrown = first && last && (last.resources.bytes > first.resources.bytes * 1.01 || last.rss > first.rss * 1.05);
for (const fault of faults.slice(0, 20)) console.error(`\n${fault}`);
console.log(`${faults.length} faults${hasGrown ? "; the server grew" : ""}`);
if (faults.length > 0 || hasGrown) process.exitCode = 1;
