/** bench/static/README.md. */
import type { StaticFigures } from "./listing.ts";

export interface GroupFigures {
  readonly title: string;
  readonly rows: readonly { readonly kernel: string; readonly figures: Readonly<Record<string, StaticFigures>> }[];
}

export interface StaticAbout {
  readonly families: readonly string[];
  readonly versions: readonly string[];
}

export function staticPage(groups: readonly GroupFigures[], { families, versions }: StaticAbout): string {
  const sections = groups.map((group) => `## ${group.title}\n\n${groupTable(group, families)}`);
  return `# What the kernels become on AMD GPUs

This page is written by \`npx tsx bench/static/run.ts\`, which see for what it needs. Compiled, never run, by ${versions.join(", ")} for ${families.join(" (RDNA3) and ")} (Vega). Time, bandwidth and caches are not in it, so two kernels compare only where they do the same work. What was changed because of these figures stands in bench/kernels/.

- VGPR, LDS (workgroup memory in bytes), and waves that fit on a SIMD at once, 16 at most on RDNA3 and 10 on Vega; ↯ marks registers spilled to memory.
- Throughput: the compiler's estimate in cycles a wave; it weighs each level of loops by about 8. Lower is better, for the same shape.
- Hot part, for one trip of the innermost loop with the most multiply-adds, or (*) of the largest straight block where all is unrolled: FMA / other vector arithmetic / vector loads / LDS reads + writes / scalar. A dual instruction of RDNA3 counts as two.
- FMA %: of vector arithmetic. FMA per LDS: per LDS read; per load: per vector load. In flight: most vector loads under way at once. Instr.: all of the hot part over its FMA, which for a product with one row is instructions a weight.

${sections.join("\n\n")}
`;
}

export function groupTable({ rows }: GroupFigures, families: readonly string[]): string {
  const head = [
    "kernel",
    "on",
    "VGPR",
    "LDS",
    "waves",
    "throughput",
    "hot part",
    "FMA %",
    "FMA per LDS",
    "per load",
    "in flight",
    "instr.",
  ];
  const body = rows.flatMap(({ kernel, figures }) =>
    families.map((family, i) => [i === 0 ? `\`${kernel}\`` : "", family, ...cells(figures[family] as StaticFigures)]),
  );
  const widths = head.map((title, i) => Math.max(title.length, ...body.map((row) => (row[i] as string).length)));
  const line = (row: readonly string[]) => `| ${row.map((cell, i) => cell.padEnd(widths[i] as number)).join(" | ")} |`;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...body.map(line)].join("\n");
}

function cells({ vgprs, spills, lds, waves, wave_size, inverse_throughput, hot }: StaticFigures): readonly string[] {
  const { fma, valu, loads, lds_reads, lds_writes, scalar, stores } = hot;
  const all = fma + valu + loads + stores + lds_reads + lds_writes + scalar;
  const ratio = (a: number, b: number, digits: number) => (b === 0 || fma === 0 ? "" : (a / b).toFixed(digits));
  return [
    `${vgprs}${spills > 0 ? ` ↯${spills}` : ""}`,
    `${lds}`,
    `${waves} × ${wave_size}`,
    `${inverse_throughput}`,
    `${fma}/${valu}/${loads}/${lds_reads}+${lds_writes}/${scalar}${hot.unrolled ? "*" : ""}`,
    ratio(100 * fma, fma + valu, 0),
    ratio(fma, lds_reads, 1),
    ratio(fma, loads, 1),
    `${hot.in_flight}`,
    ratio(all, fma, 2),
  ];
}
