/** The bundles that requests can name, and what a request says of them. */
import { fields, needed } from "../arguments/fields.ts";
import { listOf, type Table, tableOf } from "../arguments/lists.ts";
import { float32, text } from "../arguments/rules.ts";
import type { Bundle, Positions } from "../index.ts";
import { maskedEdges, positions } from "../interventions/arguments.ts";
import { showText } from "../show.ts";
import type { Limits } from "./limits.ts";
import { Problem } from "./problem.ts";

/** Values of a stage; those left out are the bundle's own. */
export interface StageValues {
  readonly strength?: number;
  readonly alpha?: number;
  readonly positions?: Positions;
}

/** A bundle that acts on a request. */
export interface InterventionInput {
  readonly bundle: string;
  /** By stage id. */
  readonly stages?: Table<StageValues>;
  /** [source, destination, m] of edges that the bundle's edge mask lists. */
  readonly edges?: readonly (readonly [source: string, destination: string, m: number])[];
}

export interface Intervention extends Omit<InterventionInput, "stages"> {
  readonly stages?: ReadonlyMap<string, StageValues>;
}

export const interventionsRule = listOf(
  fields<InterventionInput>("an intervention { bundle, stages, edges }")({
    bundle: needed(text),
    stages: tableOf(
      fields<StageValues>("values { strength, alpha, positions }")({ strength: float32, alpha: float32, positions }),
    ),
    edges: maskedEdges,
  }),
  { most: 64 },
);

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/** @throws Problem 400 for a name that cannot be part of an address */
export function checkName(name: string): string {
  if (NAME.test(name)) return name;
  throw new Problem(400, `"${name.slice(0, 60)}" cannot name a bundle: letters, digits, ., _ and - can, at most 128`, {
    param: "name",
  });
}

export class Bundles {
  readonly #bundles = new Map<string, Bundle>();
  readonly #limits: Limits;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#bundles.size;
  }

  get names(): readonly string[] {
    return [...this.#bundles.keys()];
  }

  /** @returns whether the name was free */
  set(name: string, bundle: Bundle): boolean {
    const { bundles, allBundlesBytes } = this.#limits;
    const isNew = !this.#bundles.has(name);
    if (isNew && this.#bundles.size >= bundles) {
      throw new Problem(400, `There are ${bundles} bundles already`, { code: "too_many_bundles" });
    }
    const others = [...this.#bundles].filter(([other]) => other !== name).map(([, other]) => other);
    if ([...others, bundle].reduce((sum, each) => sum + bytesOf(each), 0) > allBundlesBytes) {
      throw new Problem(400, `The tensors of all bundles would be larger than ${allBundlesBytes} bytes`, {
        code: "too_many_bundles",
      });
    }
    this.#bundles.set(name, bundle);
    return isNew;
  }

  /** @throws Problem 404 */
  delete(name: string): void {
    if (!this.#bundles.delete(name)) throw this.#unknown(name, 404);
  }

  /** @throws Problem 404 */
  describe(name: string): object {
    const bundle = this.#bundles.get(name);
    if (!bundle) throw this.#unknown(name, 404);
    const stages = bundle.manifest.stages.map(({ id, kind }) => ({ id, kind }));
    return { id: name, object: "bundle", name: bundle.manifest.name, stages };
  }

  /** As {@link describe}, with the stages as the manifest has them: what they do, and their values. @throws Problem 404 */
  detail(name: string): object {
    return { ...this.describe(name), stages: this.#bundles.get(name)?.manifest.stages };
  }

  /** @throws Problem 400 for a name that is not registered, or a stage that its bundle does not have */
  get(intervention: Intervention, index: number): Bundle {
    const { bundle: name, stages } = intervention;
    const bundle = this.#bundles.get(name);
    if (!bundle) throw this.#unknown(name, 400, `interventions[${index}].bundle`);
    const ids = bundle.manifest.stages.map(({ id }) => id);
    for (const id of stages?.keys() ?? []) {
      if (ids.includes(id)) continue;
      throw new Problem(
        400,
        `Bundle "${name}" has no stage "${showText(id)}"; it has ${showText(ids.join(", "), 400)}`,
        {
          code: "unknown_stage",
          param: `interventions[${index}].stages`,
        },
      );
    }
    return bundle;
  }

  #unknown(name: string, status: number, param: string | null = null): Problem {
    const choices = this.#bundles.size > 0 ? `there are ${showText(this.names.join(", "), 400)}` : "there are none";
    return new Problem(status, `There is no bundle "${name.slice(0, 128)}"; ${choices}`, {
      code: "unknown_bundle",
      param,
    });
  }
}

function bytesOf({ tensors }: Bundle): number {
  return [...tensors.values()].reduce((sum, { bytes }) => sum + bytes.byteLength, 0);
}
