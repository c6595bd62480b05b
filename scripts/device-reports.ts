/**
 * Shows the reports in bench/devices/ as the table of its README.
 *
 *   npx tsx scripts/device-reports.ts
 */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { DeviceReport } from "../src/index.ts";

const folder = new URL("../bench/devices/", import.meta.url).pathname;
const SCHEMA = 1;
const [begin, end] = ["<!-- table: scripts/device-reports.ts -->", "<!-- end -->"];

const columns: readonly (readonly [title: string, of: (report: DeviceReport) => string])[] = [
  ["device", ({ device }) => device.name],
  ["host", ({ user_agent }) => user_agent ?? "Node"],
  ["date", ({ date }) => date.slice(0, 10)],
  ["model", ({ model }) => `${model.model_type}, ${model.layers} × ${model.hidden_size}`],
  ["prefill/s", ({ bench }) => bench.prefill_tokens_per_s.toFixed(0)],
  ["decode/s", ({ bench }) => bench.decode_tokens_per_s.toFixed(0)],
  ["GB/s", ({ bench }) => bench.ceilings.read_gb_per_s.toFixed(1)],
  ["GFLOP/s", ({ bench }) => bench.ceilings.fma_gflop_per_s.toFixed(0)],
  ["kernels", ({ checks }) => (checks ? String(Object.keys(checks.kernels).length) : "–")],
  ["checks", ({ checks }) => (checks ? `${checks.passed} of ${checks.passed + checks.failed}` : "–")],
];

const rows: string[][] = [];
for (const name of (await readdir(folder)).filter((file) => file.endsWith(".json")).sort()) {
  const report = JSON.parse(await readFile(join(folder, name), "utf8")) as DeviceReport;
  if (report.schema !== SCHEMA) throw new Error(`${name} has schema ${report.schema}, not ${SCHEMA}`);
  rows.push(columns.map(([title, of]) => (title === "device" ? `[${of(report)}](${name})` : of(report))));
}
const lines = [columns.map(([title]) => title), columns.map(() => "---"), ...rows];
const table = lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
const readme = join(folder, "README.md");
const text = await readFile(readme, "utf8");
const [before, after] = [text.indexOf(begin), text.indexOf(end)];
if (before < 0 || after < before) throw new Error(`${readme} has no place for the table`);
await writeFile(readme, `${text.slice(0, before)}${begin}\n\n${table}\n\n${text.slice(after)}`);
console.log(table);
