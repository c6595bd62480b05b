/** Finds the option that an error is about: the library names its fields and files, the command line its options. */
import type { SluiceError } from "../errors.ts";
import type { CommandShape } from "./command-shape.ts";
import { optionName } from "./option-name.ts";
import type { RawArguments } from "./parse-arguments.ts";

/** Fields of the library whose option has another name; the others share the name. */
const OPTIONS: Readonly<Record<string, string>> = {
  bundles: "with",
  prefix: "with",
  strengths: "strength",
  params: "param",
  documents: "texts",
  continuations: "samples",
  newTokens: "maxNewTokens",
  pieceTokens: "maxNewTokens",
  most: "top",
  top: "neurons",
  tune: "noTune",
  stopTokens: "stopToken",
  sites: "site",
};

/** How a value that is part of another is written. */
const FORMS: Readonly<Record<string, string>> = { prefix: "FILE:as=PREFIX" };

/** A line after the error's; null if no option of the command is concerned. */
export function optionHint(error: SluiceError, shape: CommandShape, raw: RawArguments | null): string | null {
  const field = error.field ?? fieldIn(error.message, shape);
  const key = field === undefined ? undefined : optionOf(field, shape);
  if (field !== undefined && key !== undefined) {
    const value = FORMS[field] ?? shape.options[key]?.value;
    return `The option for this is ${optionName(key)}${value ? ` ${value}` : ""}.`;
  }
  const source = raw && optionOfFile(error, shape, raw);
  return source ? `It was given with ${optionName(source)}.` : null;
}

/** Which command says more about an error; null if none does. */
export function commandHint({ code }: SluiceError): string | null {
  if (code === "no_adapter" || code === "device_lost") return "`sluice info` lists the adapters, and where it looked.";
  return code === "gpu" ? "The output of `sluice info` belongs to a report." : null;
}

function optionOf(field: string, { options }: CommandShape): string | undefined {
  return [OPTIONS[field], field].find((name) => name !== undefined && Object.hasOwn(options, name));
}

/** A field that a message names, if the name cannot be an ordinary word: `promptLength`. */
function fieldIn(message: string, shape: CommandShape): string | undefined {
  const names = message.slice(0, 2000).match(/\b[a-z]+(?:[A-Z][a-z]+)+\b/g) ?? [];
  return names.find((name) => optionOf(name, shape) !== undefined && !message.includes(optionName(name)));
}

/** The one option whose file a message begins with. */
function optionOfFile(
  { code, message }: SluiceError,
  { options }: CommandShape,
  raw: RawArguments,
): string | undefined {
  const found = [...raw.options].filter(([key, texts]) => {
    const { reads, isOutput = false } = options[key] ?? {};
    // A fault inside a result is not a fault of its file.
    if (!reads && !(isOutput && (code === "usage" || code === "not_written"))) return false;
    // `--with FILE:as=PREFIX`
    return texts.some(
      (text) => message.startsWith(text.replace(/:as=[^:]*$/, "")) && !message.includes(optionName(key)),
    );
  });
  return found.length === 1 ? found[0]?.[0] : undefined;
}
