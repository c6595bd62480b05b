/** Options for bundles of interventions and their settings, shared by the commands that run a model. */
import { SluiceError } from "../../errors.ts";
import type { ComposedBundle, Stage } from "../../index.ts";
import { hasAlpha } from "../../interventions/kinds/kinds.ts";
import { type Positions, positionNames } from "../../interventions/positions.ts";
import { decimal, input, optional, type Parser, repeated, wholeNumber } from "../options.ts";

/** A bundle file; with a prefix, its stages are named `PREFIX/ID`, so that two bundles may use the same ids. */
export interface BundleChoice {
  readonly path: string;
  readonly prefix: string | null;
}

/** A stage's live parameters besides its strength. */
export interface StageParams {
  readonly alpha: number;
}

/** The bundles to apply, in the order given. */
export interface Interventions {
  readonly bundles: readonly BundleChoice[];
  /** By stage id; other stages keep the bundle's strength. The last value for an id counts. */
  readonly strengths: ReadonlyMap<string, number>;
  readonly params: ReadonlyMap<string, StageParams>;
  /** By stage id; checked against the model when the bundles are composed. */
  readonly positions: ReadonlyMap<string, Positions>;
  /** Tokens that count as prompt; undefined: all tokens given. */
  readonly promptLength: number | undefined;
}

interface StageValue<Value = number> {
  readonly id: string;
  readonly value: Value;
}

const NAME = /^[A-Za-z0-9_-]+$/;
const STAGE_ID = /^(?:[A-Za-z0-9_-]+\/)*[A-Za-z0-9_-]+$/;
const finite = decimal();

/** `FILE` or `FILE:as=PREFIX` */
export const parseBundleChoice: Parser<BundleChoice> = (given, option) => {
  const [, path = "", prefix = null] = /^(.*?)(?::as=(.*))?$/s.exec(given) ?? [];
  if (path === "") throw refused(option, `"${given}" does not name a file`, "FILE or FILE:as=PREFIX");
  if (prefix !== null && !NAME.test(prefix)) {
    throw refused(option, `"${prefix}" cannot be a prefix`, "letters, digits, _ and -, as in FILE:as=calmer");
  }
  return { path, prefix };
};

const strength: Parser<StageValue> = (given, option) => {
  const { left, right } = splitAssignment(given, option, "ID=NUMBER, such as calm=0.5");
  return { id: stageId(left, option), value: finite(right, `${option} ${left}`) };
};

const param: Parser<StageValue> = (given, option) => {
  const form = "ID.alpha=NUMBER, such as calm.alpha=-1.5";
  const { left, right } = splitAssignment(given, option, form);
  const dot = left.lastIndexOf(".");
  if (dot < 0) throw refused(option, `"${left}" does not name a parameter`, form);
  const name = left.slice(dot + 1);
  if (name !== "alpha") throw refused(option, `there is no parameter "${name}"`, `alpha: ${form}`);
  return { id: stageId(left.slice(0, dot), option), value: finite(right, `${option} ${left}`) };
};

const POSITIONS_FORM = `ID=POSITIONS, such as calm=generated, calm=[0,-1] or 'calm={"tokens":[13]}'`;

const positions: Parser<StageValue<Positions>> = (given, option) => {
  const { left, right } = splitAssignment(given, option, POSITIONS_FORM);
  const id = stageId(left, option);
  if (positionNames.some((name) => name === right)) return { id, value: right as Positions };
  try {
    return { id, value: JSON.parse(right) as Positions };
  } catch {
    throw refused(option, `"${right}" is neither ${positionNames.join(", ")} nor JSON`, POSITIONS_FORM);
  }
};

export const interventionOptions = {
  with: input(
    repeated("BUNDLE", "Apply a bundle of interventions; FILE:as=PREFIX names its stages PREFIX/ID", parseBundleChoice),
    "bundle",
  ),
  strength: repeated("ID=S", "A stage's strength, instead of the bundle's: calm=0.5; 0 turns it off", strength),
  param: repeated("ID.alpha=A", "A stage's alpha, instead of the bundle's: calm.alpha=-1.5", param),
  positions: repeated(
    "ID=WHERE",
    'Tokens that a stage acts on, instead of its own: calm=generated, calm=[0,-1], calm={"tokens":[13]}',
    positions,
  ),
  promptLength: optional(
    "N",
    "How many tokens count as prompt, for stages that act only on the prompt or only after it (default: all given)",
    wholeNumber(1),
  ),
};

export interface InterventionChoice {
  readonly with: readonly BundleChoice[];
  readonly strength: readonly StageValue[];
  readonly param: readonly StageValue[];
  readonly positions: readonly StageValue<Positions>[];
  readonly promptLength: number | undefined;
}

/** @throws SluiceError `usage` for strengths, parameters or positions without a bundle */
export function interventionsFrom(choice: InterventionChoice): Interventions {
  const { with: bundles, promptLength } = choice;
  const [idle] = [...choice.strength, ...choice.param, ...choice.positions];
  if (bundles.length === 0 && idle) {
    throw new SluiceError("usage", `there is no stage "${idle.id}": no bundle was given`, {
      hint: "Name the bundle that has it: --with FILE",
    });
  }
  return {
    bundles,
    strengths: new Map(choice.strength.map(({ id, value }) => [id, value])),
    params: new Map(choice.param.map(({ id, value }) => [id, { alpha: value }])),
    positions: new Map(choice.positions.map(({ id, value }) => [id, value])),
    promptLength,
  };
}

function splitAssignment(
  given: string,
  option: string,
  form: string,
): { readonly left: string; readonly right: string } {
  const equals = given.indexOf("=");
  if (equals < 0) throw refused(option, `"${given}" has no =`, form);
  return { left: given.slice(0, equals), right: given.slice(equals + 1) };
}

function stageId(id: string, option: string): string {
  if (STAGE_ID.test(id)) return id;
  throw refused(option, `"${id}" is not a stage id`, "letters, digits, _ and -, after PREFIX/ if the bundle has one");
}

function refused(option: string, fault: string, wanted: string): SluiceError {
  return new SluiceError("usage", `${option}: ${fault}`, { hint: `Write ${wanted}.` });
}

/** The bundles that act and their stages' strengths, as JSON. */
export function reportInterventions(bundles: readonly ComposedBundle[], stages: readonly Stage[]): object {
  return {
    bundles: bundles.map(({ bundle: { file, manifest }, prefix }) => {
      return { file, name: manifest.name, ...(prefix !== undefined && { prefix }) };
    }),
    stages: stages.map((stage) => {
      const { id, kind, strength } = stage;
      return {
        id,
        kind,
        strength,
        ...("alpha" in stage && hasAlpha(stage) && { alpha: stage.alpha }),
        ...("positions" in stage && { positions: stage.positions }),
      };
    }),
  };
}
