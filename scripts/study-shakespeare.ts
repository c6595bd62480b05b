/**
 * The tables and plots of docs/study-shakespeare.md from what `sluice evaluate --json` printed.
 *
 *   npx tsx scripts/study-shakespeare.ts FOLDER [--out FOLDER] > table.md
 *
 * Reads FOLDER/eval-NAME.json, and writes docs/plots/shakespeare-share.svg and docs/plots/shakespeare-cost.svg, where each
 * evaluation is there; else, or with --out, they are written elsewhere.
 */
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { placeOf } from "../bench/keep-results.ts";
import type { RunRecord } from "../src/cli/run-record.ts";
import type { Estimate, Evaluation } from "../src/index.ts";
import { intervals } from "./svg.ts";

interface Report extends Evaluation {
  readonly judge: { readonly unknown: { readonly plain: number; readonly edited: number } };
  /** Absent in results of earlier versions. */
  readonly run?: RunRecord;
}

const names = [
  ["aura", "AurA"],
  ["ace0", "ACE, α = 0, all layers"],
  ["ace2", "ACE, α = 1, layer 2"],
  ["edges", "Three edges cut"],
  ["half", "+ ½ embed → mlp 0"],
  ["second", "+ ½ mlp 2 → mlp 3"],
  ["four", "+ all of mlp 2 → mlp 3"],
] as const;

const { values, positionals } = parseArgs({ allowPositionals: true, options: { out: { type: "string" } } });
const [folder] = positionals;
if (folder === undefined) throw new Error("Usage: npx tsx scripts/study-shakespeare.ts FOLDER [--out FOLDER]");

const reports: { readonly label: string; readonly report: Report }[] = [];
for (const [name, label] of names) {
  const file = join(folder, `eval-${name}.json`);
  if (existsSync(file)) reports.push({ label, report: JSON.parse(await readFile(file, "utf8")) as Report });
}

const show = ({ value, low, high }: Estimate, digits: number): string =>
  `${value.toFixed(digits)} (${low?.toFixed(digits)}–${high?.toFixed(digits)})`;
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
const lines = [
  "|  | share, plain | share, edited | unknown tokens | perplexity of tales | KL, nats | same token |",
  "| - | - | - | - | - | - | - |",
];
for (const { label, report } of reports) {
  const { continuations, predictions, judge } = report;
  if (!continuations?.share) throw new Error(`${label}: no share of continuations was measured`);
  const cost = predictions
    ? [`× ${show(predictions.perplexity.ratio, 3)}`, show(predictions.kl_nats, 3), percent(predictions.agreement.value)]
    : ["–", "–", "–"];
  const { plain, edited } = continuations.share;
  lines.push(`| ${[label, show(plain, 3), show(edited, 3), percent(judge.unknown.edited), ...cost].join(" | ")} |`);
}
process.stdout.write(`${lines.join("\n")}\n\n${reports.map(madeBy).join("")}`);

/** Plots of the page show all evaluations, those of fewer are another's. */
const plotFile = (name: string): string =>
  placeOf({
    file: join("docs/plots", name),
    kept: names.map(([, label]) => label),
    fresh: reports.map(({ label }) => label),
    out: values.out,
    say: console.error,
  });

/** An estimate as a bar; one unit of measurement has no interval. */
const bar = ({ value, low, high }: Estimate) => ({ value, low: low ?? value, high: high ?? value });
await writeFile(
  plotFile("shakespeare-share.svg"),
  intervals({
    title: "Shakespeare-like continuations",
    x: "share of 400 continuations, with 95 % intervals",
    series: ["plain", "edited"],
    rows: reports.map(({ label, report }) => {
      const share = report.continuations?.share;
      return { label, bars: share ? [bar(share.plain), bar(share.edited)] : [] };
    }),
    from: 0,
    to: 1,
    ticks: [0, 0.25, 0.5, 0.75, 1],
  }),
);
const costs = reports.flatMap(({ label, report }) =>
  report.predictions ? [{ label, bars: [bar(report.predictions.perplexity.ratio)] }] : [],
);
await writeFile(
  plotFile("shakespeare-cost.svg"),
  intervals({
    title: "What it costs on tales",
    x: "perplexity, edited / plain, with 95 % intervals",
    series: ["edited / plain"],
    rows: costs,
    from: 0.95,
    to: Math.max(2.5, ...costs.flatMap(({ bars }) => bars.map(({ high }) => high))),
    ticks: [1, 1.5, 2, 2.5],
  }),
);

/** When, where and by which command a row was measured. */
function madeBy({ label, report: { run } }: { readonly label: string; readonly report: Report }): string {
  if (!run) return `${label}: no record of the run\n`;
  return `${label}: ${run.date}, ${run.device} on ${run.host}, Sluice ${run.sluice}: \`${run.command}\`\n`;
}
