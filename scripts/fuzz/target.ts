/** What a format's fuzzing needs: sound files to begin with, and what reads them. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

/** Files by their paths. */
export type Files = ReadonlyMap<string, Uint8Array<ArrayBuffer>>;

/** Draws from [0, 1), the same for the same case. */
export type Random = () => number;

/** One time in 64: for what a case may do besides, at many times its cost. */
export function isRare(random: Random): boolean {
  return random() > 1 - 1 / 64;
}

/** Sets of which about one in four is a large one. What reads them is the same, and small ones take less time. */
export function mostlySmall(small: readonly Files[], large: readonly Files[]): readonly Files[] {
  const times = Math.ceil((3 * large.length) / small.length);
  return [...Array.from({ length: times }, () => small).flat(), ...large];
}

export interface Target {
  readonly name: string;
  /** Sets of files that are right, each of which `read` accepts. A set that is there twice is begun with twice as often. */
  seeds(): readonly Files[];
  /** Which files of a set are edited; default: all. */
  readonly edits?: (path: string) => boolean;
  /** Whether files have a part in JSON; default: yes. */
  readonly hasJson?: boolean;
  /**
   * Reads files as the product does, and uses what it read.
   * @param random for what is drawn beside the files; for the sound files that come first it gives 0.999 alone
   * @throws SluiceError if they are refused; anything else, {@link Broken} included, is a fault
   */
  read(files: Files, random: Random): Promise<void>;
}

/** What was read contradicts itself. */
export class Broken extends Error {
  override readonly name = "Broken";
}

/** A refusal that is no error of the library, such as an answer of the server with a status of 4xx. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

const root = fileURLToPath(new URL("../..", import.meta.url));

/** A file of the repository, under its own name. */
export function fileOf(path: string, name = path.replace(/^.*\//, "")): Files {
  return new Map([[name, Uint8Array.from(readFileSync(join(root, path)))]]);
}

/** The files of a folder of the repository. */
export function folderOf(path: string, keep: (name: string) => boolean = () => true): Files {
  const folder = join(root, path);
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" });
  const files = names.filter((name) => statSync(join(folder, name)).isFile() && keep(name));
  return new Map(files.map((name) => [relative(".", name), Uint8Array.from(readFileSync(join(folder, name)))]));
}

/** A set with further files, or others in the place of its own. */
export function withFiles(files: Files, others: Readonly<Record<string, string | Uint8Array<ArrayBuffer>>>): Files {
  const bytes = (content: string | Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> =>
    typeof content === "string" ? new TextEncoder().encode(content) : content;
  return new Map([...files, ...Object.entries(others).map(([path, content]) => [path, bytes(content)] as const)]);
}
