/** What the steps of the correctness matrix leave for each other in a folder: python/oracles/prepare.py begins it. */
import type { Positions } from "../../src/interventions/positions.ts";
import { readBytes, readJson } from "../../test/support/files.ts";

/** Where the matrix works, in the repository: a folder that git ignores, and that the pages of tests can read. */
export const WORK = "weights/.cache/oracles";

export interface OracleModel {
  readonly name: string;
  /** For readers of the table. */
  readonly title: string;
  /** Whether it only carries bundles that importers made. */
  readonly imports: boolean;
  /** Whether it is a folder of weights/. */
  readonly given: boolean;
}

export interface OracleCase {
  readonly id: string;
  readonly column: string;
  /** `model`, or a folder made of it: `q8`, `q4`, `mlx4`, `baked`. */
  readonly model: string;
  readonly bundle: string | null;
  readonly tokens: readonly number[];
  readonly prompt_length: number;
  /** By stage, in place of the bundle's own. */
  readonly positions: Readonly<Record<string, Positions>>;
  readonly captures: readonly string[];
  /** The case that computes the same in one call. */
  readonly as?: string;
}

export const readModels = (): Promise<OracleModel[]> => readJson(`${WORK}/models.json`);

export const readCases = ({ name }: OracleModel): Promise<OracleCase[]> => readJson(`${WORK}/${name}/cases.json`);

export const readFileOf = ({ name }: OracleModel, file: string): Promise<Uint8Array<ArrayBuffer>> =>
  readBytes(`${WORK}/${name}/${file}`);

/** The folder of a model, or of what was made of it, in the repository. */
export function folderOf({ name, given }: OracleModel, folder: string): string {
  return given && folder === "model" ? `weights/${name}` : `${WORK}/${name}/${folder}`;
}
