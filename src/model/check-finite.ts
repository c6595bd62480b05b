/**
 * Finds the first operation of a run whose output is not finite. Every site is captured and looked at on the host, so
 * plans of other runs know nothing of it.
 */
import { offeredSites } from "../compile/captures.ts";
import type { FusedOp } from "../compile/fused.ts";
import { logitsOf } from "../compile/plan.ts";
import { type Graph, inputsOf, type Node, outputOf, type Value } from "../graph/graph.ts";
import { type Site, siteName } from "../graph/site.ts";
import { edgeMaskIn, isAtSite, type Stage } from "../interventions/stage.ts";
import type { Sequences } from "../runtime/sequences.ts";
import type { RunOptions, SessionOptions } from "./options.ts";
import { checkPromptLength } from "./request.ts";

/** What an operation read where its output is not finite. */
export interface FiniteInput {
  /** The site that it was read from. */
  readonly site: string;
  /** Whether all of it was finite: at the position, and for attention also before it. */
  readonly finite: boolean;
  /** The largest finite magnitude of it. */
  readonly largest: number;
}

/** The first output that is not finite. */
export interface NonFinite {
  /** What the model does there, as the graph names it: `norm`, `linear`, `attention`, `activation`, `add`, … */
  readonly operation: string;
  /** The layer, from 0; null before the first and after the last. */
  readonly layer: number | null;
  /** Where the output is: `resid_mid.3`, `attn_z.0`, `logits`. */
  readonly site: string;
  /** The first position at which it is not finite, from 0. */
  readonly position: number;
  /** The token there. */
  readonly token: number;
  /** The first number there that is not finite. */
  readonly value: "NaN" | "Infinity" | "-Infinity";
  /** Its index in the row. */
  readonly index: number;
  /** How many numbers of the row are not finite, and of how many. */
  readonly count: number;
  /** Numbers of a row. */
  readonly width: number;
  /** Positions at which the output is not finite. */
  readonly positions: number;
  /** What the operation read. */
  readonly inputs: readonly FiniteInput[];
  /** Whether all of these were finite. */
  readonly inputs_finite: boolean;
  /** The stage without which the output would be finite there, if it acts at the site; null if none does. */
  readonly stage: string | null;
  /** Whether every value is finite if all stages are off; null for a model without interventions. */
  readonly finite_without_stages: boolean | null;
}

/** What {@link Model.checkFinite} found. */
export interface FiniteCheck {
  /** Whether every value is finite. */
  readonly finite: boolean;
  /** The ids that ran. */
  readonly tokens: readonly number[];
  /** How many sites were looked at, the logits among them: all, or those up to the first that is not finite. */
  readonly sites: number;
  /** The largest finite magnitude, and where it is. */
  readonly largest: { readonly site: string; readonly position: number; readonly value: number };
  /** The first output that is not finite, in the order in which a forward pass reaches them. */
  readonly first: NonFinite | null;
}

/** What is checked. */
export interface Checked {
  readonly graph: Graph;
  readonly ops: readonly FusedOp[];
  readonly context: number;
  readonly model: { readonly stages: readonly Stage[]; openSequences(options: SessionOptions): Promise<Sequences> };
}

/** Bytes of a row's captures that one pass takes; further sites are looked at in further passes. */
const ROW_BYTES = 16 << 20;

const LOGITS = "logits";
/** The magnitude of an infinity, as bits. */
const INFINITY_BITS = 0x7f800000;

/** @param ids within the context and the vocabulary */
export async function runFiniteCheck(
  checked: Checked,
  ids: readonly number[],
  options: RunOptions,
): Promise<FiniteCheck> {
  const scan = (off: readonly string[] = []) => scanSites(checked, ids, options, off);
  const sites = await scan();
  const bad = [...sites.values()].find(({ first }) => first !== undefined);
  const [top] = [...sites.values()].sort((a, b) => b.most - a.most);
  const report = {
    tokens: ids,
    sites: sites.size,
    largest: { site: top?.site ?? LOGITS, position: top?.largest.indexOf(top.most) ?? 0, value: top?.most ?? 0 },
  };
  if (!bad?.first) return { finite: true, ...report, first: null };
  const { row, index, value, count } = bad.first;
  const { maker, inputs } = originOf(checked.graph, bad.site);
  const read = inputs.flatMap((site): FiniteInput[] => {
    const from = sites.get(site);
    if (!from) return [];
    // Attention reads keys and values of all positions so far.
    const begin = maker.op === "attention" && !site.startsWith("attn_q") ? 0 : row;
    const largest = from.largest.subarray(begin, row + 1).reduce((a, b) => Math.max(a, b), 0);
    return [{ site, finite: !from.bad.subarray(begin, row + 1).includes(1), largest }];
  });
  const first: NonFinite = {
    operation: maker.op,
    layer: bad.layer,
    site: bad.site,
    position: row,
    token: ids[row] as number,
    value,
    index,
    count,
    width: bad.width,
    positions: bad.bad.reduce((a, b) => a + b, 0),
    inputs: read,
    inputs_finite: read.every(({ finite }) => finite),
    stage: await stageAt(checked.model.stages, bad, row, scan),
    finite_without_stages: await isFiniteWithout(checked.model.stages, scan),
  };
  return { finite: false, ...report, first };
}

/** What was found at a site. */
interface SiteScan {
  readonly site: string;
  readonly layer: number | null;
  readonly width: number;
  /** The largest finite magnitude by position. */
  readonly largest: Float32Array;
  /** 1 for positions with numbers that are not finite. */
  readonly bad: Uint8Array;
  most: number;
  first:
    | { readonly row: number; readonly index: number; readonly value: NonFinite["value"]; readonly count: number }
    | undefined;
}

type Scan = (off: readonly string[]) => Promise<ReadonlyMap<string, SiteScan>>;

/** The sites in the order in which a forward pass reaches them, up to the group with the first that is not finite. */
async function scanSites(
  { graph, ops, context, model }: Checked,
  ids: readonly number[],
  { promptLength, signal }: RunOptions,
  off: readonly string[],
): Promise<ReadonlyMap<string, SiteScan>> {
  const found = new Map<string, SiteScan>();
  const begin = (site: string, layer: number | null, width: number): SiteScan => {
    const scan = {
      site,
      layer,
      width,
      largest: new Float32Array(ids.length),
      bad: new Uint8Array(ids.length),
      most: 0,
      first: undefined,
    };
    found.set(site, scan);
    return scan;
  };
  const offered = [...offeredSites(graph, ops).values()].filter(({ tap }) => tap !== null);
  const groups = inGroups(offered, ({ width }) => width * 4, ROW_BYTES);
  for (const [number, group] of groups.entries()) {
    for (const { site, width } of group) begin(siteName(site), site.layer, width);
    const isLast = number === groups.length - 1;
    const logits = isLast ? begin(LOGITS, null, graph.logits.width) : undefined;
    const captures = group.map(({ site }) => siteName(site));
    const sequences = await model.openSequences({ context, captures, signal });
    try {
      for (const id of off) sequences.stages?.set(id, { strength: 0 });
      sequences.beginPrompt(0, checkPromptLength(promptLength, [{ tokens: ids }]) ?? ids.length);
      await scanRun(sequences, ids, signal, found, logits);
    } finally {
      sequences.dispose();
    }
    if (group.some(({ site }) => found.get(siteName(site))?.first)) break;
  }
  return found;
}

async function scanRun(
  sequences: Sequences,
  tokens: readonly number[],
  signal: AbortSignal | undefined,
  found: ReadonlyMap<string, SiteScan>,
  logits: SiteScan | undefined,
): Promise<void> {
  const { captures, captureBytes } = sequences.plan;
  const { stride } = logitsOf(sequences.plan);
  const steps = sequences.feed([{ sequence: 0, tokens, outs: "all" }], {
    head: logits ? "logits" : "norm",
    tail: "none",
    signal,
    isReported: true,
    reads: ({ rows }) => [
      { role: { role: "capture" }, offset: 0, byteLength: captureBytes },
      ...(logits ? [{ role: { role: "logits" }, offset: 0, byteLength: rows.length * stride * 4 } as const] : []),
    ],
  });
  for await (const { step, bytes } of steps) {
    const at = step.rows[0]?.position ?? 0;
    const captured = new Uint32Array(bytes[0] as ArrayBuffer);
    for (const { site, offset, stride: floats, order } of captures) {
      step.rows.forEach((_, row) =>
        scanRow(found.get(site) as SiteScan, at + row, captured, offset + row * floats, order),
      );
    }
    const heads = bytes[1] && new Uint32Array(bytes[1]);
    if (heads && logits) step.rows.forEach((_, row) => scanRow(logits, at + row, heads, row * stride));
  }
}

/** @param bits of float32 numbers @param order the site's index of each number, if it is another */
function scanRow(scan: SiteScan, row: number, bits: Uint32Array, begin: number, order?: readonly number[]): void {
  let most = 0;
  for (let i = begin; i < begin + scan.width; i++) {
    const magnitude = (bits[i] as number) & 0x7fffffff;
    if (magnitude > most) most = magnitude;
  }
  const values = new Float32Array(bits.buffer, begin * 4, scan.width);
  if (most < INFINITY_BITS) scan.largest[row] = new Float32Array(Uint32Array.of(most).buffer)[0] as number;
  else {
    const at = [...values].flatMap((value, i) => (Number.isFinite(value) ? [] : [order?.[i] ?? i]));
    const index = Math.min(...at);
    const value = String(values[order ? order.indexOf(index) : index]) as NonFinite["value"];
    scan.bad[row] = 1;
    scan.largest[row] = values.reduce((a, b) => (Number.isFinite(b) ? Math.max(a, Math.abs(b)) : a), 0);
    scan.first ??= { row, index, value, count: at.length };
  }
  scan.most = Math.max(scan.most, scan.largest[row] as number);
}

function inGroups<T>(things: readonly T[], sizeOf: (thing: T) => number, most: number): readonly T[][] {
  const groups: T[][] = [];
  let size = Infinity;
  for (const thing of things) {
    if (size + sizeOf(thing) > most) {
      groups.push([]);
      size = 0;
    }
    groups.at(-1)?.push(thing);
    size += sizeOf(thing);
  }
  return groups;
}

/** What makes the value at a site, stages apart, and the sites that it reads. */
function originOf(graph: Graph, site: string): { readonly maker: Node; readonly inputs: readonly string[] } {
  const isIt = (value: Value | undefined) => value?.sites.some((each) => siteName(each) === site) ?? false;
  const makerOf = (value: Value) => graph.nodes.find((node) => outputOf(node) === value);
  let maker = graph.nodes.find((node) => (site === LOGITS ? outputOf(node) === graph.logits : isIt(outputOf(node))));
  while (maker?.op === "stage" || maker?.op === "edge_mix") maker = makerOf(maker.input);
  if (!maker) throw new Error(`The graph has no ${site}`);
  const sites = new Set<string>();
  const visit = (value: Value): void => {
    const [named] = value.sites;
    if (named) sites.add(siteName(named));
    else for (const input of readBy(graph, makerOf(value))) visit(input);
  };
  for (const input of readBy(graph, maker)) visit(input);
  return { maker, inputs: [...sites] };
}

/** The values that a node reads; attention reads its layer's cache too. */
function readBy({ nodes }: Graph, node: Node | undefined): readonly Value[] {
  if (!node) return [];
  const own = inputsOf(node);
  if (node.op !== "attention") return own;
  return [
    ...own,
    ...nodes.flatMap((other) => (other.op === "cache" && other.layer === node.layer ? inputsOf(other) : [])),
  ];
}

/** The stage at the site without which the value would be finite there: the first that leaves one that is not. */
async function stageAt(stages: readonly Stage[], bad: SiteScan, row: number, scan: Scan): Promise<string | null> {
  const acting = stages.filter((stage) => isAtSite(stage) && actsAt(stage, bad));
  const mask = edgeMaskIn(stages);
  for (const group of [acting, mask ? [mask] : []]) {
    for (let on = 0; on <= group.length && group.length > 0; on++) {
      // All of them on is what is known already.
      const isBad = on === group.length || isBadAt(await scan(group.slice(on).map(({ id }) => id)), bad, row);
      if (isBad && on === 0) break;
      if (isBad) return (group[on - 1] as Stage).id;
    }
  }
  return null;
}

function isBadAt(sites: ReadonlyMap<string, SiteScan>, { site }: SiteScan, row: number): boolean {
  const found = sites.get(site);
  return !found || found.bad[row] === 1;
}

function actsAt(stage: Stage, { site, layer }: SiteScan): boolean {
  if (!isAtSite(stage) || layer === null || !stage.layers.includes(layer)) return false;
  return siteName({ kind: stage.site, layer } satisfies Site) === site;
}

async function isFiniteWithout(stages: readonly Stage[], scan: Scan): Promise<boolean | null> {
  if (stages.length === 0) return null;
  const sites = await scan(stages.map(({ id }) => id));
  return [...sites.values()].every(({ first }) => !first);
}
