/** What the listing of a compiled shader says: the driver's statistics, and what its hot part is made of. */

/** One family's view of one shader. */
export interface StaticFigures {
  readonly vgprs: number;
  /** Vector and scalar registers that did not fit and live in memory. */
  readonly spills: number;
  /** Workgroup memory, bytes. */
  readonly lds: number;
  /** Waves that fit on a SIMD at once, of this wave's own size. */
  readonly waves: number;
  readonly wave_size: 32 | 64;
  readonly instructions: number;
  /** The compiler's own estimate, cycles a wave; it weighs loops by about 8 a level. Lower is better. */
  readonly inverse_throughput: number;
  readonly hot: HotPart;
}

/**
 * The innermost loop with the most multiply-adds, else the one with most instructions; where everything is unrolled the
 * basic block with the most multiply-adds.
 */
export interface HotPart {
  readonly unrolled: boolean;
  /** Fused multiply-adds, halves of a dual instruction counted one by one; packed and dot products count as one. */
  readonly fma: number;
  /** Other vector arithmetic. */
  readonly valu: number;
  /** Vector loads from memory. */
  readonly loads: number;
  readonly stores: number;
  readonly lds_reads: number;
  readonly lds_writes: number;
  /** Scalar arithmetic, branches and loads. */
  readonly scalar: number;
  readonly waits: number;
  /** Most vector loads under way at once. */
  readonly in_flight: number;
}

interface Block {
  readonly name: string;
  readonly code: string[];
}

/** @throws Error if the listing lacks a statistic: the driver was built without them */
export function readListing(text: string): StaticFigures {
  const statistic = (name: string): number => {
    const found = new RegExp(`^${name}: (\\d+)`, "m").exec(text);
    if (!found) throw new Error(`The driver's listing has no "${name}"`);
    return Number(found[1]);
  };
  const blocks = blocksOf(text);
  const wave32 = blocks.some(({ code }) => code.some((line) => /\bexec_lo\b|\bvcc_lo\b/.test(line)));
  const rdna = /\bs_delay_alu\b|\bbuffer_load_b\d/.test(text);
  const wave_size = rdna && wave32 ? 32 : 64;
  return {
    vgprs: statistic("VGPRs"),
    spills: statistic("Spilled SGPRs") + statistic("Spilled VGPRs"),
    lds: statistic("LDS size"),
    // RDNA3's statistics count in waves of 32.
    waves: Math.floor(statistic("Subgroups per SIMD") / (rdna && wave_size === 64 ? 2 : 1)),
    wave_size,
    instructions: statistic("Instructions"),
    inverse_throughput: statistic("Inverse Throughput"),
    hot: hotPart(blocks),
  };
}

function blocksOf(text: string): readonly Block[] {
  const blocks: Block[] = [];
  for (const line of text.split("\n")) {
    const label = /^(BB\d+):/.exec(line);
    if (label) blocks.push({ name: label[1] as string, code: [] });
    else if (/^\t[a-z]/.test(line)) blocks.at(-1)?.code.push((line.split(";")[0] as string).trim());
  }
  return blocks;
}

function hotPart(blocks: readonly Block[]): HotPart {
  const index = new Map(blocks.map(({ name }, i) => [name, i]));
  const loops = blocks.flatMap(({ code }, end) =>
    code.flatMap((line) => {
      const target = /^s_c?branch\w* (BB\d+)/.exec(line)?.[1];
      const start = target === undefined ? undefined : index.get(target);
      return start !== undefined && start <= end ? [{ start, end }] : [];
    }),
  );
  const innermost = loops.filter(
    (loop) => !loops.some((other) => other !== loop && loop.start <= other.start && other.end <= loop.end),
  );
  const parts = innermost.map(({ start, end }) => count(blocks.slice(start, end + 1), false));
  const straight = blocks.map((block) => count([block], true));
  const best = (list: readonly HotPart[]): HotPart | undefined =>
    [...list].sort((a, b) => b.fma - a.fma || size(b) - size(a))[0];
  const loop = best(parts);
  const block = best(straight);
  // A loop of the epilogue is not hot if the sums are unrolled before it.
  if (loop && (!block || loop.fma * 8 > block.fma)) return loop;
  if (!block) throw new Error("The driver's listing has no code");
  return block;
}

function size({ fma, valu, loads, stores, lds_reads, lds_writes, scalar }: HotPart): number {
  return fma + valu + loads + stores + lds_reads + lds_writes + scalar;
}

function count(blocks: readonly Block[], unrolled: boolean): HotPart {
  const sums = { fma: 0, valu: 0, loads: 0, stores: 0, lds_reads: 0, lds_writes: 0, scalar: 0, waits: 0 };
  let flying = 0;
  let in_flight = 0;
  for (const line of blocks.flatMap(({ code }) => code)) {
    for (const half of line.split(" :: ")) {
      const kind = kindOf(half.trim());
      if (kind) sums[kind]++;
      if (kind === "loads") in_flight = Math.max(in_flight, ++flying);
    }
    const left = /^s_waitcnt\b.*vmcnt\((\d+)\)/.exec(line)?.[1];
    if (left !== undefined) flying = Math.min(flying, Number(left));
  }
  return { unrolled, ...sums, in_flight };
}

/** The kind of an instruction; null for hints that do nothing. */
function kindOf(line: string): Exclude<keyof HotPart, "unrolled" | "in_flight"> | null {
  if (/^(s_delay_alu|s_clause|s_nop|s_endpgm)\b/.test(line)) return null;
  if (/^s_wait/.test(line)) return "waits";
  if (line.startsWith("s_")) return "scalar";
  if (/^v_(dual_|pk_)?(fma|fmac|fmaak|fmamk|mad|mac|madak|madmk|dot\d)/.test(line)) return "fma";
  if (line.startsWith("v_")) return "valu";
  if (/^(buffer|global|flat|scratch)_load/.test(line)) return "loads";
  if (/^(buffer|global|flat|scratch)_store/.test(line)) return "stores";
  if (/^ds_(load|read)/.test(line)) return "lds_reads";
  if (/^ds_(store|write)/.test(line)) return "lds_writes";
  // Exchanges between lanes by way of the LDS unit.
  return line.startsWith("ds_") ? "valu" : null;
}
