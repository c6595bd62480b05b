/** docs/correctness.md, of what the steps of the matrix found. */
import type { CaseResult } from "./engine.ts";
import type { OracleModel } from "./files.ts";
import type { SpeedResult } from "./speed.ts";
import type { TextResult } from "./text.ts";

/** What expect.py found besides the expected values. */
export interface FromPython {
  readonly versions: Readonly<Record<string, string>>;
  readonly baked: readonly Difference[];
  readonly float32_parts: readonly Difference[];
}

interface Difference {
  readonly model: string;
  readonly error: number;
  readonly largest: number;
}

export interface Found {
  readonly date: string;
  readonly models: readonly OracleModel[];
  readonly node: readonly CaseResult[];
  readonly chromium: readonly CaseResult[];
  readonly text: readonly TextResult[];
  readonly speed: readonly SpeedResult[];
  readonly python: FromPython;
  /** Where it ran, one line each. */
  readonly environment: readonly string[];
}

/** Largest error allowed, relative to the largest value of the case. */
export const TOLERANCE = 2e-5;

/** Of the weights as they are. */
const PLAIN = ["logits", "captures", "neurons", "affine", "edges", "mixed"];
/** Of caches and of weights in other forms. */
const STORED = ["cached", "q8", "q4", "mlx4", "baked"];

/** What is beyond the tolerance or was refused, in words. */
export function faultsOf({ node, chromium, text, python }: Found): string[] {
  const wrong = [...node, ...chromium].filter((each) => !(relative(each) <= TOLERANCE));
  return [
    ...wrong.map(
      (each) => `${each.model}: case ${each.id}, ${each.column}, ${each.site}: ${each.fault ?? power(relative(each))}`,
    ),
    ...python.baked.filter((each) => relative(each) > TOLERANCE).map((each) => `${each.model}, baked, in transformers`),
    ...text.flatMap(({ what, faults }) => faults.slice(0, 3).map((fault) => `${what}: ${fault.slice(0, 300)}`)),
  ];
}

export function pageOf(found: Found): string {
  const { date, models, node, chromium, text, speed, python, environment } = found;
  const all = [...node, ...chromium];
  const titled = new Map(models.map(({ name, title }) => [name, title]));
  const main = models.filter(({ imports }) => !imports);
  const carriers = models.filter(({ imports }) => imports);
  const cell = (model: string, column: string): string =>
    cellOf(all.filter((each) => each.model === model && each.column === column));
  const bakedIn = (model: string): string => cellOf(python.baked.filter((each) => each.model === model));
  const cells = (name: string, columns: readonly string[]): string[] => columns.map((column) => cell(name, column));
  const worst = Math.max(...all.map(relative));
  return `# Correct, compared with what

<!-- Written by \`npm run test:oracles\`; scripts/oracles/page.ts has its words. -->

What the engine computes, against transformers in float64. ${date}; ${all.length} comparisons, the largest error ${power(worst)} of the largest value; allowed are ${power(TOLERANCE)}.${faultsOf(found).length > 0 ? ` **${faultsOf(found).length} comparisons fail.**` : ""}

${environment.map((line) => `- ${line}`).join("\n")}

A cell is the largest error of its cases, relative to each case's largest value, and how many comparisons that were. ${sharedPart(node, chromium)}

${table(
  ["model", ...PLAIN.map(headOf)],
  main.map(({ name, title }) => [title, ...cells(name, PLAIN)]),
)}

${table(
  ["model", ...STORED.map(headOf), "baked, in transformers"],
  main.map(({ name, title }) => [title, ...cells(name, STORED), bakedIn(name)]),
)}

| column | cases |
| --- | --- |
| logits | all tokens of a short and of a long input, such as one beyond the length that RoPE was scaled from |
| captures | every site of every layer, the attention pattern included |
| neurons | \`neuron_scale\` at every site, with scale, shift and both |
| affine | every method × gate × site, ranks 1 to 6, each at two forms of positions |
| edges | both forms of destinations, both of \`attn_bias\`, listed and dense, zeros and constants |
| mixed | random compositions of three to five stages and mostly an edge mask |
| cached | the same, the prompt in one step and then token by token from the cache |
| q8, q4, mlx4 | plain and mixed, against the dequantised numbers in float64, which Python reads from the files |
| baked | the folder that \`bake\` writes, with the stages that it leaves over, against the bundle on the plain model |

Positions of every form, strengths and alphas go round in the sweeps. The tiny models have random weights of a seed. Stages run in transformers by the Python package's \`apply\`, which is held to golden cases that share no code with either.

## Bundles made of other projects' files

Each is made by \`importBundle\`, then run in the engine and by \`apply\`: [which files](importing.md).

${table(
  ["model", "largest error", "bundles"],
  carriers.map(({ name, title }) => [title, ...splitCell(cell(name, "imported"))]),
)}

## Text

Against the Rust library \`tokenizers\` and against jinja2 as transformers sets it up, both run now. The corpus is in \`test/data\`; random files and templates are of seeds that no other test has.

${table(
  ["what", "files", "texts", "differ"],
  text.map(({ what, files, cases, faults }) => [what, `${files}`, `${cases}`, `${faults.length}`]),
)}

## What came to light

- **transformers computes parts of a float64 model in float32**: the norms and rotary angles of Llama's families, and the softmax of eager attention. Here they are float64 too. Left as they are, they move its logits by up to ${power(Math.max(...python.float32_parts.map(relative)))} of the largest, as much as a whole engine in float32 does (${python.float32_parts
    .filter((each) => relative(each) > 0)
    .map((each) => `${titled.get(each.model)?.split(":")[0]} ${power(relative(each))}`)
    .join("; ")}).
- **\`dynamic\` RoPE** goes on beyond \`max_position_embeddings\` in transformers, with other frequencies for each length, while keys in the cache keep those of their time: the logits depend on how a text was divided into calls. Here a longer text is refused, so the scaling never acts.
- **\`longrope\`** chooses its factors by the length of a call in transformers, and by the session's context here, from its first token on. Both agree on a text that is given at once.
- **TransformerLens' hooks** are not what their names say everywhere: \`sluice sites\` lists which differ, and why.

${speedPart(speed)}`;
}

/** What ran where, and whether both gave the same bits. */
function sharedPart(node: readonly CaseResult[], chromium: readonly CaseResult[]): string {
  if (chromium.length === 0) return "These are of Node; Chromium did not take part in this run.";
  const inNode = new Map(node.map((each) => [keyOf(each), each.digest]));
  const both = chromium.filter((each) => inNode.has(keyOf(each)));
  const equal = both.filter((each) => inNode.get(keyOf(each)) === each.digest);
  return `Node runs every case; Chromium runs all but the sweeps (neurons, affine, edges, imports), of which it runs every third. Of ${both.length} comparisons that ran in both, ${equal.length} have the same bits.`;
}

function speedPart(speed: readonly SpeedResult[]): string {
  if (speed.length === 0) return "";
  const row = ({ what, who, device, tokens, ms }: SpeedResult): string[] => {
    const per = ms.map((each) => (1000 * each) / tokens).sort((a, b) => a - b);
    const [least = 0, most = 0] = [per[0], per.at(-1)];
    return [what, who, device, `${middle(per).toFixed(0)} (${least.toFixed(0)}–${most.toFixed(0)})`];
  };
  return `## Speed beside other tools

On \`weights/gpt2-stories\`, with the same tokens, in turns of one run. Microseconds per token: the median of the turns, and the range. **The devices differ**: torch runs its own kernels for this processor, while the engine's shaders run on SwiftShader, a GPU imitated by the same processor. So this says which tool is faster on a machine without a GPU, and nothing about one with a GPU.

${table(["what", "who", "device", "µs per token"], speed.map(row))}

${verdicts(speed)
  .map((line) => `- ${line}`)
  .join("\n")}
`;
}

/** Who wins, by how much. */
export function verdicts(speed: readonly SpeedResult[]): string[] {
  return [...new Set(speed.map(({ what }) => what))].map((what) => {
    const ranked = speed
      .filter((each) => each.what === what)
      .map(({ who, tokens, ms }) => ({ who, per: middle([...ms].sort((a, b) => a - b)) / tokens }))
      .sort((a, b) => a.per - b.per);
    const [first, ...others] = ranked;
    if (!first) return what;
    const behind = others.map(({ who, per }) => `${who} takes ${(per / first.per).toFixed(1)} times as long`);
    return `${what}: ${first.who} is the fastest; ${behind.join(", ")}.`;
  });
}

function middle(sorted: readonly number[]): number {
  const half = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(half)] ?? 0) + (sorted[Math.ceil(half)] ?? 0)) / 2;
}

function keyOf({ model, id, site }: CaseResult): string {
  return `${model} ${id} ${site}`;
}

function relative({ error, largest }: { readonly error: number; readonly largest: number }): number {
  return error / (largest || 1);
}

function cellOf(cases: readonly { readonly error: number; readonly largest: number }[]): string {
  return cases.length === 0 ? "–" : `${power(Math.max(...cases.map(relative)))} (${cases.length})`;
}

function splitCell(cell: string): string[] {
  const [error = "–", count = "0"] = cell.replace(/[()]/g, "").split(" ");
  return [error, count];
}

/** 4.2e-7 */
function power(value: number): string {
  return value === 0 ? "0" : value.toExponential(1);
}

function headOf(column: string): string {
  return column === "baked" ? "baked, in the engine" : column;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
