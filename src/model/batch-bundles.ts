/** The bundles of a running batch, by name, and what a request makes of them. */
import type { Envelope } from "../compile/envelope.ts";
import { fuse } from "../compile/fuse.ts";
import { buildProgram } from "../compile/programs.ts";
import { mostScopeVec4s } from "../compile/scope-buffer.ts";
import type { EdgeBlocks } from "../compile/stage-edges.ts";
import { SluiceError } from "../errors.ts";
import type { Bundle } from "../interventions/bundle-types.ts";
import { checkPositions } from "../interventions/check-positions.ts";
import { checkStrengths } from "../interventions/check-strengths.ts";
import { compose } from "../interventions/compose.ts";
import { hasAlpha, stageName } from "../interventions/kinds/kinds.ts";
import type { Manifest } from "../interventions/manifest.ts";
import type { Positions } from "../interventions/positions.ts";
import { rewrite } from "../interventions/rewrite.ts";
import { initialSettings, type LiveSettings, type SequenceSettings } from "../interventions/settings.ts";
import { type Composition, isAtSite, type Stage } from "../interventions/stage.ts";
import { factorsOf, unscaled } from "../interventions/stage-scale.ts";
import type { ModelConfig } from "../model-config.ts";
import type { RequestStages } from "../runtime/batch/program-stages.ts";
import type { ProgramBlock, ProgramStore } from "../runtime/batch/program-store.ts";
import { numberEdges, type StageChange } from "../runtime/live-stages.ts";
import { show } from "../show.ts";
import type { ModelParts } from "./model-parts.ts";

/** A bundle that requests to a batch can name. */
export interface BatchBundle {
  /** What requests call it. */
  readonly name: string;
  /** What the bundle says of itself. */
  readonly manifest: Manifest;
}

/** The right to run a request's stages, until it is released. */
export interface StagesLease {
  /** Undefined if nothing acts. */
  readonly stages: RequestStages | undefined;
  /** Where each of them acts. */
  readonly scopes: readonly { readonly id: string; readonly positions: Positions }[];
  release(): void;
}

/** A bundle that a request names, and what it changes of it. */
export interface ReadIntervention {
  readonly bundle: string;
  /** By id. */
  readonly stages?: ReadonlyMap<string, Omit<StageChange, "edges">>;
  readonly edges?: NonNullable<StageChange["edges"]>;
}

interface Registered {
  readonly bundle: Bundle;
  /** Tells it from earlier bundles of the name. */
  readonly version: number;
}

/** A composition that some request wants, and its program. */
interface Compiled {
  readonly key: string;
  readonly composition: Composition;
  readonly program: ProgramBlock;
  readonly edges: EdgeBlocks;
  readonly initial: LiveSettings;
  /** Requests that run or wait. */
  users: number;
  /** Some of its bundles has been removed. */
  isStale: boolean;
}

/** Programs of several bundles that are kept although no request uses them. */
const MOST_IDLE = 64;

export class BatchBundles {
  readonly #parts: ModelParts;
  readonly #envelope: Envelope;
  readonly #store: ProgramStore | undefined;
  /** The most bytes that positions may take. */
  readonly #mostScopeBytes: number;
  readonly #bundles = new Map<string, Registered>();
  readonly #compiled = new Map<string, Compiled>();
  readonly #default: Compiled | undefined;
  #versions = 0;

  /**
   * @param store absent if the envelope is empty
   * @param own stages that act on requests that name no bundles
   */
  constructor(
    parts: ModelParts,
    envelope: Envelope,
    store: ProgramStore | undefined,
    { own, mostScopeBytes }: { readonly own: Composition | undefined; readonly mostScopeBytes: number },
  ) {
    this.#parts = parts;
    this.#envelope = envelope;
    this.#store = store;
    this.#mostScopeBytes = mostScopeBytes;
    this.#default = own && this.#compile("the model's own", own);
  }

  get list(): readonly BatchBundle[] {
    return [...this.#bundles].map(([name, { bundle }]) => ({ name, manifest: bundle.manifest }));
  }

  /**
   * @throws SluiceError `bad_bundle` for a bundle that does not fit the model or the batch's envelope, `usage` for a name
   *   that is taken, `device_limit`
   */
  add(name: string, bundle: Bundle): void {
    if (this.#bundles.has(name)) {
      throw new SluiceError("usage", `There is a bundle ${show(name)} already`, { hint: "Remove it first." });
    }
    const composition = compose(this.#parts.config, [{ bundle }]);
    this.#envelope.check(bundle.file, composition);
    const version = ++this.#versions;
    const key = keyOf([[name, version]]);
    this.#compile(key, composition);
    this.#bundles.set(name, { bundle, version });
  }

  /** Requests that have begun with it go on. @throws SluiceError `usage` if there is none of the name */
  remove(name: string): void {
    const { version } = this.#find(name);
    this.#bundles.delete(name);
    for (const compiled of this.#compiled.values()) {
      if (!compiled.key.split("\n").includes(keyOf([[name, version]]))) continue;
      compiled.isStale = true;
      this.#tidy();
    }
  }

  /**
   * What acts on a request.
   * @param wanted undefined: the model's own stages, as they are
   * @throws SluiceError `usage` for an unknown bundle, stage or value, `bad_bundle` for bundles that do not go together
   */
  lease(wanted: readonly ReadIntervention[] | undefined, sequences: number): StagesLease {
    const compiled = wanted ? this.#wanted(wanted) : this.#default;
    if (!compiled) return { stages: undefined, scopes: [], release: () => undefined };
    const { composition, program, key } = compiled;
    const settings = settingsOf(composition.stages, wanted ?? [], this.#parts.config.vocab_size);
    this.#checkScopes(settings.positions, sequences);
    const { strengths, alphas, positions } = settings;
    const { stages } = composition;
    const { tensors, scales } = compiled.initial;
    checkStrengths({ stages, ...settings, tensors, scales, config: this.#parts.config });
    const edges = maskSettings(stages, wanted ?? [], compiled.edges, this.#parts.config);
    const acts = strengths.some((strength) => strength !== 0);
    let isReleased = false;
    compiled.users++;
    return {
      stages: acts
        ? {
            program,
            strengths,
            positions,
            factors: stages.map((stage, i) => {
              const given = { strength: strengths[i] as number, alpha: alphas[i] as number };
              return isAtSite(stage) ? factorsOf(stage, given, scales[i] ?? unscaled) : [given.strength, 0];
            }),
            ...(edges && { edges }),
            key: JSON.stringify([key, strengths, alphas, positions, edges && [...edges.values]]),
          }
        : undefined,
      scopes: composition.stages.flatMap(({ id }, i) =>
        strengths[i] === 0 ? [] : [{ id, positions: positions[i] as Positions }],
      ),
      release: () => {
        if (!isReleased) compiled.users--;
        isReleased = true;
        this.#tidy();
      },
    };
  }

  #wanted(wanted: readonly ReadIntervention[]): Compiled | undefined {
    if (wanted.length === 0) return undefined;
    const named = wanted.map(({ bundle: name }) => ({ name, ...this.#find(name) }));
    const twice = named.find(({ name }, i) => named.findIndex((other) => other.name === name) !== i);
    if (twice)
      throw new SluiceError("usage", `The bundle ${show(twice.name)} is named twice`, { field: "interventions" });
    const key = keyOf(named.map(({ name, version }) => [name, version]));
    const known = this.#compiled.get(key);
    if (known) {
      // The one that was used last is let go of last.
      this.#compiled.delete(key);
      this.#compiled.set(key, known);
      return known;
    }
    const prefixed = named.map(({ bundle }, i) => ({ bundle, ...(named.length > 1 && { prefix: prefixOf(i) }) }));
    const composition = compose(this.#parts.config, prefixed);
    this.#envelope.check(named.map(({ name }) => name).join(", "), composition);
    return this.#compile(key, composition);
  }

  #compile(key: string, composition: Composition): Compiled {
    const { graph, config } = this.#parts;
    const store = this.#store;
    if (!store) throw new Error("A batch without an envelope runs no stages");
    const ops = fuse(rewrite(graph, composition));
    const build = (at: number) => buildProgram(ops, composition, config, store.layout, at);
    const program = store.add((at) => build(at).words);
    const { edges } = build(0);
    const initial = initialSettings(composition, 0, config.hidden_size);
    const compiled: Compiled = { key, composition, program, edges, initial, users: 0, isStale: false };
    this.#compiled.set(key, compiled);
    return compiled;
  }

  /** Lets go of programs that nobody will ask for, and of combinations that nobody has asked for lately. */
  #tidy(): void {
    const idle = [...this.#compiled.values()].filter(({ users }) => users === 0);
    const combined = idle.filter(({ key, isStale }) => !isStale && key.includes("\n"));
    const dropped = [
      ...idle.filter(({ isStale }) => isStale),
      ...combined.slice(0, Math.max(0, combined.length - MOST_IDLE)),
    ];
    for (const { key, program } of dropped) {
      this.#compiled.delete(key);
      this.#store?.remove(program);
    }
  }

  #find(name: string): Registered {
    const found = this.#bundles.get(name);
    if (found) return found;
    const names = [...this.#bundles.keys()];
    throw new SluiceError("usage", `There is no bundle ${show(name)}`, {
      hint: names.length > 0 ? `There are ${names.join(", ")}.` : "Register it with addBundle.",
      field: "interventions",
    });
  }

  #checkScopes(positions: readonly Positions[], sequences: number): void {
    const bytes = 16 * positions.reduce((sum, each) => sum + mostScopeVec4s(each), 0);
    const most = Math.floor(this.#mostScopeBytes / sequences);
    if (bytes <= most) return;
    throw new SluiceError(
      "device_limit",
      `The positions of this request's stages take up to ${bytes} bytes; a sequence of this batch has ${most}`,
      { hint: "List fewer positions and token ids, or open the batch with fewer sequences." },
    );
  }
}

function keyOf(names: readonly (readonly [name: string, version: number])[]): string {
  return names.map(([name, version]) => `${JSON.stringify(name)} ${version}`).join("\n");
}

function prefixOf(index: number): string {
  return `b${index}`;
}

/** Strengths, alphas and positions by stage: the bundles' own, and what the request says instead. */
function settingsOf(
  stages: readonly Stage[],
  wanted: readonly ReadIntervention[],
  vocabSize: number,
): Pick<SequenceSettings, "strengths" | "alphas" | "positions"> {
  const strengths = stages.map(({ strength }) => strength);
  const alphas = stages.map((stage) => ("alpha" in stage ? stage.alpha : 1));
  const positions = stages.map((stage): Positions => (isAtSite(stage) ? stage.positions : "all"));
  for (const [i, { bundle, stages: changes = new Map() }] of wanted.entries()) {
    for (const [id, change] of changes) {
      const full = wanted.length > 1 ? `${prefixOf(i)}/${id}` : id;
      const index = stages.findIndex((stage) => stage.id === full);
      const stage = stages[index];
      if (!stage) {
        const prefix = wanted.length > 1 ? `${prefixOf(i)}/` : "";
        const known = stages.flatMap(({ id: each }) => (each.startsWith(prefix) ? [each.slice(prefix.length)] : []));
        throw new SluiceError("usage", `Bundle ${show(bundle)} has no stage ${show(id)}`, {
          hint: `It has ${known.join(", ")}.`,
          field: "interventions",
        });
      }
      const refuse = (what: string, problem: string) =>
        new SluiceError("usage", `Bundle ${show(bundle)}, stage ${show(id)}: ${what} ${problem}`, {
          field: "interventions",
        });
      if (change.strength !== undefined) strengths[index] = change.strength;
      if (change.alpha !== undefined) {
        if (!hasAlpha(stage)) throw refuse("alpha", `acts on nothing: it is ${stageName(stage)}, which has none`);
        alphas[index] = change.alpha;
      }
      if (change.positions !== undefined) {
        if (!isAtSite(stage)) throw refuse("positions", "cannot be given: an edge_mask acts everywhere");
        positions[index] = structuredClone(checkPositions(change.positions, refuse, vocabSize));
      }
    }
  }
  return { strengths, alphas, positions };
}

/**
 * Mask values: the bundle's own, and what the request says instead.
 * @throws SluiceError `usage` for an edge that the bundle does not list, or a bundle without an edge mask
 */
function maskSettings(
  stages: readonly Stage[],
  wanted: readonly ReadIntervention[],
  blocks: EdgeBlocks,
  config: ModelConfig,
): RequestStages["edges"] {
  const index = stages.findIndex(({ kind }) => kind === "edge_mask");
  const mask = stages[index];
  const values = mask?.kind === "edge_mask" ? mask.edges.map(({ value }) => value) : [];
  for (const [i, { bundle, edges = [] }] of wanted.entries()) {
    if (edges.length === 0) continue;
    const refuse = (problem: string, hint: string) =>
      new SluiceError("usage", `Bundle ${show(bundle)} ${problem}`, { hint, field: "interventions" });
    if (mask?.kind !== "edge_mask" || (wanted.length > 1 && !mask.id.startsWith(`${prefixOf(i)}/`))) {
      throw refuse("has no edge_mask", "Name edges with the bundle whose mask they belong to.");
    }
    const numbers = numberEdges(mask, config);
    for (const [source, destination, value] of edges) {
      const edge = numbers.get(`${source} → ${destination}`);
      if (edge === undefined) {
        throw refuse(
          `does not list the edge ${source} → ${destination}`,
          "Its structure is what it lists; add the edge there, with the value 1 if it is to be kept at first.",
        );
      }
      values[edge] = value;
    }
  }
  if (mask?.kind !== "edge_mask") return undefined;
  return { stage: index, values: blocks.values(values), vectors: blocks.vectors(values, mask.constants) };
}
