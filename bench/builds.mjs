// Two builds of Sluice side by side in one process: decode and prefill of a model, plain, with each bundle and with an edge
// mask, in alternation. What a change costs is the ratio of neighbours, so that a busy machine slows both.
//
//   node bench/builds.mjs BEFORE AFTER MODEL [BUNDLE…] [--rounds N] [--new-tokens N] [--prompt-tokens N] [--edges N]
//
// BEFORE and AFTER are built checkouts. Prints, per case, the median of milliseconds per token of both, and the median of
// the ratio after / before with its quartiles.
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "15" },
    "new-tokens": { type: "string", default: "32" },
    "prompt-tokens": { type: "string", default: "64" },
    edges: { type: "string", default: "12" },
  },
});
const [before, after, folder, ...bundles] = positionals;
if (!before || !after || !folder) {
  console.error("usage: node bench/builds.mjs BEFORE AFTER MODEL [BUNDLE…] [--rounds N]");
  process.exit(2);
}
const rounds = Number(values.rounds);
const newTokens = Number(values["new-tokens"]);
const promptTokens = Number(values["prompt-tokens"]);
const edgeCount = Number(values.edges);

const builds = await Promise.all(
  [before, after].map(async (checkout) => {
    const { load, loadBundle, writeBundle } = await import(pathToFileURL(resolve(checkout, "dist/index.js")).href);
    const plain = await load(resolve(folder));
    const cases = new Map([["plain", plain]]);
    for (const file of bundles)
      cases.set(file.replace(/^.*\/|\.safetensors$/g, ""), plain.with([await loadBundle(file)]));
    if (edgeCount > 0) {
      const mask = await loadBundle(writeBundle(edgeMask(plain.config, edgeCount)));
      cases.set(`${mask.manifest.stages[0].edges.length} edges`, plain.with([mask]));
    }
    if (bundles.length > 1) {
      const all = await Promise.all(
        bundles.map(async (file, i) => ({ bundle: await loadBundle(file), prefix: `b${i}` })),
      );
      cases.set("all together", plain.with(all));
    }
    return { plain, cases };
  }),
);

const { vocab_size: vocabulary } = builds[0].plain.config;
const prompt = Array.from({ length: promptTokens }, (_, i) => (1 + 37 * i) % vocabulary);

/** One prefill and decode. @returns milliseconds per token of each */
async function time(model) {
  const options = { maxNewTokens: newTokens + 1, context: promptTokens + newTokens + 1 };
  const { timings } = await model.generate(prompt, options).result();
  return { prefill: 1000 / timings.prefill_tokens_per_s, decode: 1000 / timings.decode_tokens_per_s };
}

for (const name of builds[0].cases.keys()) {
  const pairs = [];
  // The first two rounds compile kernels and warm caches.
  for (let round = -2; round < rounds; round++) {
    const order = round % 2 === 0 ? builds : [...builds].reverse();
    const times = new Map();
    for (const build of order) times.set(build, await time(build.cases.get(name)));
    if (round >= 0) pairs.push(builds.map((build) => times.get(build)));
  }
  for (const phase of ["prefill", "decode"]) {
    const [first, second] = [0, 1].map((i) =>
      quantile(
        pairs.map((pair) => pair[i][phase]),
        0.5,
      ),
    );
    const ratios = pairs.map(([a, b]) => b[phase] / a[phase]);
    const [low, middle, high] = [0.25, 0.5, 0.75].map((part) => quantile(ratios, part).toFixed(3));
    console.log(
      `${name.padEnd(14)} ${phase.padEnd(8)} ${first.toFixed(3).padStart(9)} → ${second.toFixed(3).padStart(9)} ms per token` +
        `  ratio ${middle} (${low} to ${high})`,
    );
  }
}
for (const { plain } of builds) plain.dispose();

/**
 * A bundle that cuts edges from heads to the MLPs of later blocks, about `count` of them, evenly spread.
 * @param {Record<string, any>} config @param {number} count
 */
function edgeMask(config, count) {
  const { num_hidden_layers: layers, num_attention_heads: heads, num_key_value_heads } = config;
  const all = Array.from({ length: layers }, (_, to) =>
    Array.from({ length: to * heads }, (_, i) => [
      `blocks.${Math.floor(i / heads)}.head.${i % heads}`,
      `blocks.${to}.mlp`,
      0,
    ]),
  ).flat();
  const every = Math.max(1, Math.floor(all.length / count));
  const stage = {
    id: "edges",
    kind: "edge_mask",
    destinations: heads === num_key_value_heads ? "heads" : "qkv_groups",
    edges: all.filter((_, i) => i % every === every - 1),
  };
  const base = {
    model_type: config.model_type,
    num_layers: layers,
    hidden_size: config.hidden_size,
    num_heads: heads,
    num_kv_heads: num_key_value_heads,
    head_dim: config.head_dim,
    intermediate_size: config.intermediate_size,
    vocab_size: config.vocab_size,
  };
  return { file: "edges", manifest: { name: "edges", base, stages: [stage] }, tensors: new Map(), metadata: new Map() };
}

/** @param {readonly number[]} list @param {number} part */
function quantile(list, part) {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}
