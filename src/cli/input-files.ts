/** Checks the files that a command line names before any work: most mistakes are names of missing files. */
import { access, constants, stat } from "node:fs/promises";
import { SluiceError } from "../errors.ts";
import { showText } from "../show.ts";
import type { CommandShape } from "./command-shape.ts";
import { optionName } from "./option-name.ts";
import type { RawArguments } from "./parse-arguments.ts";

/**
 * Checks the files of options that name one to read. Pipes and web addresses are not checked here.
 * @throws SluiceError `not_found` or `bad_file`, naming the option and the file
 */
export async function checkInputs({ options }: Pick<CommandShape, "options">, raw: RawArguments): Promise<void> {
  for (const [key, texts] of raw.options) {
    if (options[key]?.reads !== "file") continue;
    for (const text of texts) await checkInput(text, optionName(key));
  }
}

async function checkInput(path: string, option: string): Promise<void> {
  if (/^https?:/i.test(path)) return;
  const shown = showText(path, 200);
  const found = await stat(path).catch((cause: NodeJS.ErrnoException) => {
    const fault =
      cause.code === "ENOENT" || cause.code === "ENOTDIR" ? "does not exist" : `cannot be read: ${cause.message}`;
    throw new SluiceError("not_found", `${option}: ${shown} ${fault}`, { cause });
  });
  if (found.isDirectory()) throw new SluiceError("bad_file", `${option}: ${shown} is a folder; name a file`);
  await access(path, constants.R_OK).catch((cause: Error) => {
    throw new SluiceError("not_found", `${option}: ${shown} cannot be read: ${cause.message}`, { cause });
  });
  if (found.isFile() && found.size === 0) throw new SluiceError("bad_file", `${option}: ${shown} is empty`);
}
