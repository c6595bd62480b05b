/**
 * Edge attribution and AurA per token, beside plain PyTorch hooks and TransformerLens on the same processor, in turns.
 * All tools get the same tokens and must find the same numbers.
 */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { fitAura, load, openAttribution } from "../../src/index.ts";
import { location, readText } from "../../test/support/files.ts";
import { WORK } from "./files.ts";

export interface SpeedResult {
  readonly what: string;
  readonly who: string;
  readonly device: string;
  readonly tokens: number;
  /** Of each turn. */
  readonly ms: readonly number[];
}

const TURNS = 3;
const TEXTS = { count: 8, tokens: 32 };
const SENTENCES = { count: 50, tokens: 24 };
/** Between tools that compute in float32 in other orders, relative to the largest value. */
const SAME = 1e-3;

interface Answer {
  readonly ms: number;
  readonly result: readonly number[] | readonly (readonly number[])[];
}

/** @param python an interpreter with torch and transformers, and TransformerLens if that is to take part */
export async function runSpeed(python: string): Promise<SpeedResult[]> {
  const folder = location("weights/gpt2-stories");
  const model = await load(folder, { adapter: "swiftshader" });
  const textsOf = async (file: string): Promise<number[][]> =>
    (await readText(`test/data/${file}`))
      .trim()
      .split("\n")
      .map((line) => [...model.encode((JSON.parse(line) as { text: string }).text)]);
  const [plays, tales] = await Promise.all([textsOf("plays.jsonl"), textsOf("tales.jsonl")]);
  const sentences = (texts: readonly number[][]) =>
    texts.slice(0, SENTENCES.count).map((ids) => ids.slice(0, SENTENCES.tokens));
  const texts = plays.filter(({ length }) => length >= TEXTS.tokens).slice(0, TEXTS.count);
  const given = {
    texts: texts.map((ids) => ids.slice(0, TEXTS.tokens)),
    positive: sentences(plays),
    negative: sentences(tales),
  };
  const input = location(`${WORK}/speed.json`);
  await writeFile(input, JSON.stringify(given));

  const other = new OtherTools(spawn(python, [location("python/oracles/speed.py"), folder, input]));
  const attribution = await openAttribution(model, given.texts, { destinations: "heads" });
  try {
    const { tools, torch } = await other.begin();
    const work = {
      edges: async () => [...(await attribution.run({})).gradient.data],
      aura: async () => {
        const { bundle } = await fitAura(model, { positive: given.positive, negative: given.negative });
        return aurocOf(bundle.tensors, model.config.num_hidden_layers);
      },
    };
    const count = (lists: readonly (readonly number[])[]) => lists.reduce((sum, { length }) => sum + length, 0);
    const tokens = { edges: count(given.texts), aura: count(given.positive) + count(given.negative) };
    const names = { edges: "attribution of all edges", aura: "AurA" };
    const results: SpeedResult[] = [];
    for (const what of ["edges", "aura"] as const) {
      const ours: number[] = [];
      const theirs = new Map<string, number[]>(tools.map((tool) => [tool, []]));
      // The first turn warms up; it also shows that all find the same.
      for (let turn = 0; turn <= TURNS; turn++) {
        const started = performance.now();
        const found = await work[what]();
        if (turn > 0) ours.push(performance.now() - started);
        for (const [tool, times] of theirs) {
          const { ms, result } = await other.run(`${what} ${tool}`);
          if (turn > 0) times.push(ms);
          else checkSame(`${what}: ${tool}`, found, result.flat());
        }
      }
      const common = { what: names[what], tokens: tokens[what] };
      results.push({ ...common, who: "Sluice", device: "SwiftShader", ms: ours });
      for (const [who, ms] of theirs) results.push({ ...common, who, device: `torch ${torch}`, ms });
    }
    return results;
  } finally {
    attribution.dispose();
    model.dispose();
    other.end();
  }
}

/** Of `mlp_pre` by layer, then of `mlp_out`: as speed.py has them. */
function aurocOf(tensors: Awaited<ReturnType<typeof fitAura>>["bundle"]["tensors"], layers: number): number[] {
  const values: number[] = [];
  for (const site of ["mlp_pre", "mlp_out"]) {
    for (let layer = 0; layer < layers; layer++) {
      const tensor = tensors.get(`aura_${site}.${layer}.auroc`);
      if (!tensor) throw new Error(`fitAura left out the AUROC of ${site}.${layer}`);
      values.push(...new Float32Array(tensor.bytes.slice().buffer));
    }
  }
  return values;
}

function checkSame(what: string, ours: readonly number[], theirs: readonly number[]): void {
  if (ours.length !== theirs.length) throw new Error(`${what} gives ${theirs.length} numbers, not ${ours.length}`);
  const largest = theirs.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const off = theirs.reduce((most, value, index) => Math.max(most, Math.abs(value - (ours[index] as number))), 0);
  console.log(`${what}: the same to ${(off / largest).toExponential(1)}`);
  if (!(off <= SAME * largest)) throw new Error(`${what} gives other numbers: off by ${off} of ${largest}`);
}

/** The Python process, which does one thing at a time. */
class OtherTools {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;

  constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child;
    child.stderr.pipe(process.stderr);
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  begin(): Promise<{ readonly tools: readonly string[]; readonly torch: string; readonly threads: number }> {
    return this.#answer();
  }

  run(command: string): Promise<Answer> {
    this.#child.stdin.write(`${command}\n`);
    return this.#answer();
  }

  end(): void {
    this.#child.stdin.end();
  }

  async #answer<T>(): Promise<T> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error("speed.py ended early");
    return JSON.parse(value) as T;
  }
}
