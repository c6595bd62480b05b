/**
 * What one stage adds and a later one takes away, at the same place or further on: blocks add to the stream what is small
 * beside it, so float32 has lost that, and the row, when the large part goes. A row is followed through the stages in
 * float64 to see it.
 */
import { SluiceError } from "../errors.ts";
import { actingTogether } from "./acting-together.ts";
import { largest } from "./balanced-rows.ts";
import { numberText } from "./describe-values.ts";
import { hasAlpha, kindOf } from "./kinds/kinds.ts";
import type { Positions } from "./positions.ts";
import type { ActingStages } from "./settings.ts";
import { isAtSite, type SiteStage, type Stage } from "./stage.ts";

/** What adds less leaves the row most of its digits, whatever happens to it. */
export const LARGE = 2 ** 20;
/** Of what was added, the rest that shows no more digits than float32 lost. */
export const REST = 2 ** -12;
/** The largest float32. */
const MOST_FLOAT32 = (2 - 2 ** -23) * 2 ** 127;

/** @throws SluiceError `usage` naming both stages and their sites */
export function checkCancelled(acting: ActingStages): void {
  const { stages, strengths, positions } = acting;
  const active = [...stages.keys()].filter((i) => strengths[i] !== 0 && isAtSite(stages[i] as Stage));
  const reach = active.reduce((sum, i) => sum + reachOf(acting, i), 0);
  if (reach <= LARGE) return;
  for (const group of actingTogether(active.map((i) => positions[i] as Positions))) {
    follow(
      acting,
      group.map((k) => active[k] as number),
    );
  }
}

/** The most that a stage can make of a row near 1, in all its layers together. */
function reachOf({ stages, strengths, alphas, scales }: ActingStages, i: number): number {
  const stage = stages[i] as SiteStage;
  const { mostAdded = 0, mostChanged = 0 } = scales[i] ?? {};
  const alpha = hasAlpha(stage) ? Math.abs(alphas[i] as number) : 1;
  return Math.abs(strengths[i] as number) * (alpha * mostAdded + mostChanged) * stage.layers.length;
}

/** A stage in one of its layers. */
interface Use {
  readonly index: number;
  readonly stage: SiteStage;
  readonly layer: number;
}

/** Follows rows through all places where some of the stages act. */
function follow(acting: ActingStages, indices: readonly number[]): void {
  const stream = new Map<number, Use[]>();
  const elsewhere = new Map<string, Use[]>();
  for (const index of indices) {
    const stage = acting.stages[index] as SiteStage;
    for (const layer of stage.layers) {
      const use = { index, stage, layer };
      const step = STEPS.get(stage.site);
      if (step === undefined) append(elsewhere, `${stage.site}.${layer}`, use);
      else append(stream, 4 * layer + step, use);
    }
  }
  for (const uses of elsewhere.values()) {
    const row = new Followed(acting);
    for (const use of uses) row.apply(use);
    row.check(false);
  }
  const { config } = acting;
  const row = new Followed(acting, config.hidden_size);
  const steps = [...stream.keys()].sort((a, b) => a - b);
  steps.forEach((step, i) => {
    // The end of a block is the beginning of the next.
    const uses = (stream.get(step) as Use[]).sort((a, b) => a.layer - b.layer || a.index - b.index);
    if (step % 2 === 0) for (const use of uses) row.apply(use);
    else row.addOutput(uses);
    // A norm reads the stream after each block's output, and what stages make of it.
    if (step % 2 === 0 || steps[i + 1] !== step + 1) row.check(config.norm === "layer");
  });
}

/** Places along the stream, four to a layer: even ones are the stream, odd ones what a block adds to it. */
const STEPS: ReadonlyMap<string, number> = new Map([
  ["resid_pre", 0],
  ["attn_out", 1],
  ["resid_mid", 2],
  ["mlp_out", 3],
  ["resid_post", 4],
]);

function append<Key>(lists: Map<Key, Use[]>, key: Key, use: Use): void {
  const list = lists.get(key);
  if (list) list.push(use);
  else lists.set(key, [use]);
}

/** A row near 1 on its way, and how large its elements have been: float32 has lost what is 2^-24 of that. */
class Followed {
  readonly #acting: ActingStages;
  #row: Float64Array;
  #peaks: Float64Array;
  #adder: Use | undefined;
  #taker: Use | undefined;

  /** @param width known from the first stage's values if left out */
  constructor(acting: ActingStages, width = 0) {
    this.#acting = acting;
    this.#row = nearOne(width);
    this.#peaks = new Float64Array(width);
  }

  apply(use: Use): void {
    const { index, stage, layer } = use;
    const { strengths, alphas, tensors, config } = this.#acting;
    const s = strengths[index] as number;
    const { lowering } = kindOf(stage);
    const values = tensors[index]?.get(layer) ?? {};
    const [before, peak] = [largest(this.#row), largest(this.#peaks)];
    if (lowering.form === "elements") {
      const { scale, shift } = lowering.lower(stage, values);
      if (this.#row.length === 0) {
        this.#row = nearOne((scale ?? shift)?.length ?? 0);
        this.#peaks = new Float64Array(this.#row.length);
      }
      this.#row.forEach((value, i) => {
        const factor = 1 + s * ((scale?.[i] ?? 1) - 1);
        // What is scaled keeps its digits, and so loses what had gone wrong.
        this.#peaks[i] = (this.#peaks[i] as number) * Math.abs(factor);
        this.#put(i, value * factor + s * (shift?.[i] ?? 0));
      });
    } else {
      const { v, u, c, b } = lowering.lower(stage, values, config.hidden_size);
      const gate = lowering.gate(stage);
      const taken = v.map((reads, k) => {
        const y = reads.reduce((sum, value, i) => sum + value * (this.#row[i] as number), -(c[k] as number));
        if (gate === "identity") return y;
        return gate === "relu" ? Math.max(y, 0) : y - Math.min(Math.max(y, gate.clamp[0]), gate.clamp[1]);
      });
      const alpha = hasAlpha(stage) ? (alphas[index] as number) : 1;
      this.#row.forEach((value, i) => {
        const away = u.reduce((sum, each, k) => sum + (taken[k] as number) * (each[i] as number), 0);
        this.#put(i, value + s * (alpha * (b?.[i] ?? 0) - away));
      });
    }
    if (largest(this.#peaks) > peak) this.#adder = use;
    if (largest(this.#row) < before) this.#taker = use;
  }

  /** Adds what a block gives, after its stages. */
  addOutput(uses: readonly Use[]): void {
    const output = new Followed(this.#acting, this.#row.length);
    for (const use of uses) output.apply(use);
    const [before, peak] = [largest(this.#row), largest(this.#peaks)];
    this.#row.forEach((value, i) => {
      this.#peaks[i] = Math.max(this.#peaks[i] as number, output.#peaks[i] as number);
      this.#put(i, value + (output.#row[i] as number));
    });
    if (largest(this.#peaks) > peak) this.#adder = output.#adder ?? uses.at(-1);
    if (largest(this.#row) < before) this.#taker = uses.at(-1);
    else this.#taker = output.#taker ?? this.#taker;
  }

  /** @param isCentred whether the norm that reads the row takes its mean away */
  check(isCentred: boolean): void {
    const most = largest(this.#peaks);
    if (most <= LARGE || !this.#adder) return;
    const row = this.#row;
    const { stage, layer } = this.#adder;
    const adds = `stage ${stage.id} adds at ${stage.site}.${layer}, up to ${numberText(most)}`;
    if (largest(row) < most * REST) {
      const { stage: taker, layer: at } = this.#taker ?? this.#adder;
      const isSamePlace = placeOf(taker.site, at) === placeOf(stage.site, layer);
      const where = isSamePlace ? "" : ` at ${taker.site}.${at}`;
      throw refusal(`Stage ${taker.id} takes away${where} what ${adds}`);
    }
    // A sum beyond float32 is found by the norm itself, which names its layer and site.
    if (!isCentred || most * row.length > MOST_FLOAT32) return;
    const mean = row.reduce((sum, value) => sum + value / row.length, 0);
    if (largest(row.map((value) => value - mean)) >= most * REST) return;
    throw refusal(`The norm after it takes away what ${adds}, since it is the same in all elements`);
  }

  #put(i: number, value: number): void {
    this.#row[i] = value;
    this.#peaks[i] = Math.max(this.#peaks[i] as number, Math.abs(value));
  }
}

/** Elements of 1 and −1 that look like those of no direction. */
function nearOne(width: number): Float64Array {
  return Float64Array.from({ length: width }, (_, i) => (Math.imul(i + 1, 0x9e3779b1) < 0 ? -1 : 1));
}

function placeOf(site: SiteStage["site"], layer: number): string {
  return site === "resid_post" ? `resid_pre.${layer + 1}` : `${site}.${layer}`;
}

function refusal(what: string): SluiceError {
  return new SluiceError("usage", `${what}: float32 has 7 digits, so nothing of the row is left`, {
    hint: "Lower the strength of the one that adds, or leave both out.",
    field: "strength",
  });
}
