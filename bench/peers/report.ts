/** The results of `npm run bench` as a page of tables. */
import type { Estimate, LaneResult } from "./measure.ts";

export interface ModelResult {
  readonly name: string;
  readonly description: string;
  readonly prompt_tokens: number;
  readonly new_tokens: number;
  readonly rounds: number;
  readonly lanes: readonly LaneResult[];
}

export interface BenchReport {
  readonly date: string;
  readonly command: string;
  readonly commit: string;
  /** Processor, cores, and what else was using them. */
  readonly machine: {
    readonly cpu: string;
    readonly cores: number;
    readonly load_before: number;
    readonly load_after: number;
  };
  readonly node: string;
  readonly chromium: string | null;
  readonly models: readonly ModelResult[];
}

/** Markdown of the whole page. */
export function reportPage(reports: readonly BenchReport[]): string {
  return `# Sluice beside its peers

${["This page is written by `npm run bench`.", HOW, CAVEAT].join("\n\n")}

${reports.flatMap((report) => report.models.map((model) => modelSection(report, model))).join("\n\n")}
`;
}

const HOW = `\`\`\`sh
npm ci --prefix bench/peers        # the peers, 1.4 GB: no part of the package; what is not installed is left out
npm run bench                      # a tiny GPT-2
npm run bench -- --full            # GPT-2 124M and a Llama of SmolLM-135M's shape too
npm run bench -- --host node       # or chromium: a host has a run of its own
npm run bench -- --driver lavapipe=/usr/share/vulkan/icd.d/lvp_icd.json   # beside SwiftShader; else the system's lavapipe, if any
\`\`\`

Random float32 weights, the same for everyone: the safetensors that Sluice reads are written as ONNX (with ONNX Runtime's own fused operators and logits of the last token only; on WebGPU attention is composed of plain operators, because its GroupQueryAttention computes something else there, by a tenth of the values) and as GGUF (float32, cache too). Peers on the CPU use one thread. Each engine has a process or a page of its own; after a warm-up all take turns, and a ratio is the median over rounds of *its time over Sluice's in the same round on the same device*, above 1 where Sluice is faster, with its 95 % bootstrap interval (of two or three rounds, no more than their least and greatest). For the CPU, which Sluice does not compute on by itself, the ratio is to Sluice on the host's first device. “Same ids” counts greedy ids until the first that differs from Sluice's, of as many as both decoded in a turn; a slow engine decodes fewer. Δ, which tells more where random weights repeat one token, is the greatest difference from Sluice's over the whole vocabulary in the log-probabilities after the prompt and one more token: Sluice's in one prefill, a peer's by a step on its cache, so that its prefill, cache and decode are all in it; in GPT-2 it holds the table of half precision in which llama.cpp looks GELU up on the CPU. On Vulkan llama.cpp multiplies in half precision where the device can: for SmolLM's shape its log-probabilities on lavapipe differ from its own on the CPU by 1.8e-3, and by 5e-5 with GGML_VK_DISABLE_F16=1.`;

const CAVEAT =
  "**Read with care.** Peers shape their kernels for real GPUs; here a CPU imitates one. A lead on a software device says nothing about a real GPU, and must not be quoted without saying so.";

function modelSection(report: BenchReport, model: ModelResult): string {
  const { machine } = report;
  const load = `load ${machine.load_before.toFixed(1)} before and ${machine.load_after.toFixed(1)} after`;
  const chromium = report.chromium === null ? "" : `, Chromium ${report.chromium}`;
  return `## ${model.name}

${model.description}; prompt of ${model.prompt_tokens} tokens, ${model.new_tokens} new ones, ${model.rounds} rounds. \`${report.command}\` at ${report.commit}, ${report.date}; ${machine.cpu}, ${machine.cores} cores, ${load}; Node ${report.node}${chromium}.

${table(
  [
    "in",
    "engine",
    "device",
    "prefill, tokens/s",
    "decode, tokens/s",
    "prefill time ÷ Sluice's",
    "decode time ÷ Sluice's",
    "same ids",
    "Δ",
  ],
  model.lanes.map(row),
)}${problems(model.lanes)}`;
}

/** Why lanes failed, below the table. */
function problems(lanes: readonly LaneResult[]): string {
  const lines = lanes.flatMap(({ engine, host, device, problem }) => {
    return problem === undefined ? [] : [`- ${engine} in ${host} on ${device} failed: ${problem.trim()}`];
  });
  return lines.length === 0 ? "" : `\n\n${lines.join("\n")}`;
}

function row(lane: LaneResult): readonly string[] {
  const { host, engine, version, device, agreement } = lane;
  const head = [host, version === null ? engine : `${engine} ${version}`, device];
  if (lane.status !== "measured") return [...head, lane.status, "", "", "", "", ""];
  const difference = agreement?.log_probability_difference;
  return [
    ...head,
    rate(lane.prefill_tokens_per_s),
    rate(lane.decode_tokens_per_s),
    ratio(lane.prefill_ratio),
    ratio(lane.decode_ratio),
    agreement ? `${agreement.same_tokens} of ${agreement.of}` : "",
    agreement ? (typeof difference === "number" ? difference.toExponential(0) : "not given") : "",
  ];
}

function rate(value: Estimate | undefined): string {
  return value ? digits(value.median) : "";
}

function ratio(value: Estimate | undefined): string {
  return value ? `${digits(value.median)} (${digits(value.interval[0])} to ${digits(value.interval[1])})` : "";
}

/** Three digits that count, without an exponent. */
function digits(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const decimals = Math.max(0, 2 - Math.floor(Math.log10(Math.max(Math.abs(value), 1e-3))));
  return value.toFixed(decimals);
}

/** A Markdown table with columns of even width; pipes and line breaks in cells are made harmless. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [head, ...rows].map((row) => row.map((cell) => cell.replace(/\s+/g, " ").replaceAll("|", "\\|")));
  const widths = head.map((_, column) => Math.max(3, ...cells.map((row) => [...(row[column] ?? "")].length)));
  const line = (row: readonly string[]) => `| ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(" | ")} |`;
  const [first = [], ...rest] = cells;
  return [line(first), `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`, ...rest.map(line)].join("\n");
}
