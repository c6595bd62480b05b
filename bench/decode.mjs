// Decode of several models side by side, in turns, in one process: milliseconds a token, and the first model's time as 1.
//
//   node scripts/build.mjs --no-types && node bench/decode.mjs MODEL MODEL… [--rounds N]
//
// Models of one architecture, such as a float one and its quantised folders. Each round generates nine tokens from a
// prompt of 16 ids; a first round warms up. Ratios are medians over the rounds' pairs, which a busy machine slows alike.

import { parseArgs } from "node:util";
import { load } from "../dist/index.js";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: "string", default: "7" } },
});
const rounds = Number(values.rounds);
if (positionals.length === 0 || !Number.isSafeInteger(rounds) || rounds < 1) {
  console.error("Usage: node bench/decode.mjs MODEL... [--rounds N]");
  process.exit(2);
}

const models = [];
for (const path of positionals) {
  models.push({ path, model: await load(path), decode: /** @type {number[]} */ ([]), prefill: [] });
}
const prompt = Array.from({ length: 16 }, (_, i) => 1 + 3 * i);
for (let round = -1; round < rounds; round++) {
  for (const { model, decode, prefill } of models) {
    const { timings } = await model.generate(prompt, { maxNewTokens: 9, context: 64 }).result();
    if (round < 0) continue;
    decode.push(1000 / timings.decode_tokens_per_s);
    prefill.push(timings.prefill_ms);
  }
}

const median = (numbers) => [...numbers].sort((a, b) => a - b)[numbers.length >> 1];
const ratio = (times, first) => median(times.map((time, i) => time / first[i])).toFixed(2);
const list = (times) => times.map((time) => time.toFixed(0)).join(" ");
for (const { path, model, decode, prefill } of models) {
  console.log(`${path}: decode ${list(decode)} ms per token, ratio ${ratio(decode, models[0].decode)}`);
  console.log(`${path}: prefill ${list(prefill)} ms, ratio ${ratio(prefill, models[0].prefill)}`);
  model.dispose();
}
