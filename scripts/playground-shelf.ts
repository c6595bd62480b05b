/**
 * The bundles that the playground offers, and the run that its first screen shows until a model is loaded.
 *
 *   npx tsx scripts/playground-shelf.ts           everything
 *   npx tsx scripts/playground-shelf.ts record    the recorded run alone
 *
 * Writes playground/shelf: *.safetensors, and recorded.json. playground/shelf/shelf.json, written by hand, names them.
 * The fits are those of docs/study-shakespeare.md on its data (pieces of even documents, 300 a class), and its three
 * edges, replaced by their means over the pieces of tales.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { RecordedRun, TokenRecord } from "../playground/src/steer/records.ts";
import { recordOf } from "../src/cli/run-record.ts";
import { storeFloat32 } from "../src/formats/safetensors.ts";
import {
  type Bundle,
  fitAura,
  fitDirection,
  load,
  loadBundle,
  type Model,
  openAttribution,
  writeBundle,
} from "../src/index.ts";
import { baseOf } from "../src/interventions/compose.ts";
import {
  destinationName,
  listDestinations,
  listSources,
  sourceName,
  visibleSources,
} from "../src/interventions/edges.ts";
import { engineVersion } from "../src/kernels/engine-version.gen.ts";

const shelf = "playground/shelf";
const PIECE = 24;
const PIECES = 300;

const began = new Date();
await mkdir(shelf, { recursive: true });
if (process.argv[2] !== "record") {
  await makeShakespeare();
  await makeSorting();
}
await record();

async function makeShakespeare(): Promise<void> {
  const model = await load("weights/gpt2-stories");
  const [positive, negative] = [await piecesOf(model, "plays"), await piecesOf(model, "tales")];
  const sources = {
    positive: "test/data/plays.jsonl",
    negative: "test/data/tales.jsonl",
    by: "scripts/playground-shelf.ts",
  };
  const ace = await fitDirection(model, "ace", { positive, negative, layers: [2], name: "Shakespeare dial", sources });
  await write("shakespeare-ace", renamed(ace, "ace_resid_post", "shakespeare"));
  const { bundle: aura } = await fitAura(model, {
    positive,
    negative,
    sites: ["mlp_pre"],
    name: "Shakespeare off",
    sources,
  });
  await write("shakespeare-aura", renamed(aura, "aura_mlp_pre", "quiet_plays"));
  const attribution = await openAttribution(model, negative.slice(0, 100));
  const { data, shape } = await attribution.means();
  attribution.dispose();
  await write("shakespeare-edges", {
    file: "shakespeare-edges",
    manifest: {
      name: "Three edges",
      description: "The three edges of 375 without which the model speaks half as often like Shakespeare",
      base: baseOf(model.config),
      stages: [
        {
          id: "three_edges",
          kind: "edge_mask",
          destinations: "heads",
          attn_bias: "per_head",
          edges: [
            ["embed", "blocks.0.head.1", 0],
            ["blocks.2.head.4", "logits", 0],
            ["blocks.1.mlp", "blocks.2.mlp", 0],
          ],
        },
      ],
      fit: { method: "docs/study-shakespeare.md", replaced_by: "means over 100 pieces of tales", by: sources.by },
    },
    tensors: new Map([["three_edges.constants", storeFloat32(data, shape)]]),
    metadata: new Map(),
  });
  model.dispose();
}

/** All edges of gpt-nano-sort, whole, with what takes their place when they are cut. */
async function makeSorting(): Promise<void> {
  const circuit = await loadBundle("test/data/gpt-nano-sort-circuit.safetensors");
  const constants = circuit.tensors.get("circuit.constants");
  if (!constants) throw new Error("The circuit of gpt-nano-sort has no constants");
  const { config, dispose } = await shapeOfSorting();
  const sources = listSources(config).map(sourceName);
  const edges = listDestinations(config, "heads").flatMap((destination) =>
    sources
      .slice(0, visibleSources(config, destination))
      .map((source) => [source, destinationName(destination), 1] as const),
  );
  dispose();
  await write("sort-edges", {
    ...circuit,
    file: "sort-edges",
    manifest: {
      ...circuit.manifest,
      name: "Edges of sorting",
      description: `All ${edges.length} edges of gpt-nano-sort, whole; cut ones are replaced by means over all inputs`,
      stages: [{ id: "circuit", kind: "edge_mask", destinations: "heads", attn_bias: "per_head", edges }],
    },
  });
  await write("sort-circuit", circuit);
}

async function shapeOfSorting() {
  const model = await load("weights/gpt-nano-sort");
  return { config: model.config, dispose: () => model.dispose() };
}

/** What the first screen shows: both continuations, and what each model thought of every token of them. */
async function record(): Promise<void> {
  const prompt = "The king said";
  const settings = { temperature: 0.6, seed: 5, maxNewTokens: 40 };
  const model = await load("weights/gpt2-stories");
  const edited = model.with([await loadBundle(join(shelf, "shakespeare-ace.safetensors"))]);
  const { plain, edited: steered } = await edited.compare(prompt, settings);
  const start = model.encode(prompt);
  const both = async (tokens: readonly number[]) => tokenRecords(model, edited, start, tokens);
  const run: RecordedRun = {
    model: "gpt2-stories",
    bundle: "shakespeare-ace",
    prompt,
    settings,
    plain: await both(plain.tokens),
    edited: await both(steered.tokens),
    ...origin(model),
  };
  await writeFile(join(shelf, "recorded.json"), `${JSON.stringify(run)}\n`);
  model.dispose();
}

function origin(model: Model) {
  const words = ["npx", "tsx", "scripts/playground-shelf.ts"];
  const device = model.device.name;
  const { date, sluice, command } = recordOf(words, engineVersion, device, began);
  return { date, sluice, device, command };
}

async function tokenRecords(
  plain: Model,
  edited: Model,
  prompt: readonly number[],
  tokens: readonly number[],
): Promise<TokenRecord[]> {
  const ids = [...prompt, ...tokens];
  const options = { promptLength: prompt.length };
  const [before, after] = [await plain.logits(ids, options), await edited.logits(ids, options)];
  const width = plain.config.vocab_size;
  const stream = plain.tokenizer?.stream({ context: prompt });
  const distribution = ({ data }: { readonly data: Float32Array }, row: number): Float64Array => {
    const logits = Float64Array.from(data.subarray(row * width, (row + 1) * width));
    const most = logits.reduce((a, b) => Math.max(a, b));
    const sum = logits.reduce((total, logit) => total + Math.exp(logit - most), 0);
    return logits.map((logit) => Math.exp(logit - most) / sum);
  };
  return tokens.map((id, i) => {
    const row = prompt.length + i - 1;
    const [p, q] = [distribution(before, row), distribution(after, row)];
    const rank = (of: Float64Array, token: number) => of.reduce((n, v) => n + (v > (of[token] as number) ? 1 : 0), 1);
    const top = [...p.keys()].sort(
      (a, b) => Math.max(p[b] as number, q[b] as number) - Math.max(p[a] as number, q[a] as number),
    );
    return {
      id,
      text: stream?.push(id) ?? String(id),
      plain: short(p[id] as number),
      edited: short(q[id] as number),
      plain_rank: rank(p, id),
      edited_rank: rank(q, id),
      kl: short(p.reduce((sum, v, j) => sum + (v > 0 ? v * Math.log(v / (q[j] as number)) : 0), 0)),
      alternatives: top.slice(0, 6).map((token) => ({
        id: token,
        text: plain.tokenizer?.decode([token]) ?? String(token),
        plain: short(p[token] as number),
        edited: short(q[token] as number),
      })),
    };
  });
}

function short(value: number): number {
  return Number(value.toPrecision(4));
}

/** The same bundle with another id for its only stage, which the playground shows. */
function renamed(bundle: Bundle, from: string, to: string): Bundle {
  const stages = bundle.manifest.stages.map((stage) => (stage.id === from ? { ...stage, id: to } : stage));
  const tensors = [...bundle.tensors].map(([name, tensor]) => {
    return [name.startsWith(`${from}.`) ? to + name.slice(from.length) : name, tensor] as const;
  });
  return { ...bundle, manifest: { ...bundle.manifest, stages }, tensors: new Map(tensors) };
}

async function piecesOf(model: Model, name: "plays" | "tales"): Promise<number[][]> {
  const lines = (await readFile(`test/data/${name}.jsonl`, "utf8")).trimEnd().split("\n");
  const pieces = lines
    .filter((_, document) => document % 2 === 0)
    .map(
      (line) => model.tokenizer?.encode((JSON.parse(line) as { text: string }).text, { addSpecialTokens: false }) ?? [],
    )
    .flatMap((ids) =>
      Array.from({ length: Math.floor(ids.length / PIECE) }, (_, i) => ids.slice(i * PIECE, (i + 1) * PIECE)),
    );
  return Array.from({ length: PIECES }, (_, i) => pieces[Math.floor((i * pieces.length) / PIECES)] ?? []);
}

async function write(name: string, bundle: Bundle): Promise<void> {
  await writeFile(join(shelf, `${name}.safetensors`), writeBundle(bundle));
}
