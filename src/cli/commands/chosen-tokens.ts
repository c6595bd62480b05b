/** Options of `generate` that weigh single tokens, report their probabilities, or hold the text to JSON. */
import { SluiceError } from "../../errors.ts";
import type { GenerateOptions, JsonSchema } from "../../index.ts";
import { defined } from "../defined.ts";
import { readTextFile } from "../documents.ts";
import { decimal, flag, input, name, needing, optional, type Parser, repeated, wholeNumber } from "../options.ts";

/** `ID=B` */
const addend: Parser<readonly [id: number, addend: number]> = (given, option) => {
  const [, id, value] = /^(\d+)=(.+)$/.exec(given) ?? [];
  if (id === undefined || value === undefined) {
    throw new SluiceError("usage", `${option} takes ID=B, such as 50256=-100, not "${given.slice(0, 60)}"`);
  }
  return [Number(id), decimal({ min: -100, max: 100 })(value, `${option} ${id}`)];
};

const penalty = decimal({ min: -2, max: 2 });

export const chosenTokenOptions = {
  logitBias: repeated("ID=B", "Add B to the logit of a token, from -100 (never) to 100 (always)", addend),
  presencePenalty: optional("P", "Subtract P from the logits of tokens generated before, from -2 to 2", penalty),
  frequencyPenalty: optional("P", "Subtract P per time that a token was generated before, from -2 to 2", penalty),
  logprobs: needing(
    optional("N", "Report each token's log probability and the N most likely tokens in its place", wholeNumber(0)),
    "json",
  ),
  jsonObject: flag("Hold the text to a JSON object"),
  jsonSchema: input(optional("FILE", "Hold the text to JSON that fits this JSON schema", name)),
};

export interface ChosenTokens {
  readonly logitBias: readonly (readonly [id: number, addend: number])[];
  readonly presencePenalty: number | undefined;
  readonly frequencyPenalty: number | undefined;
  readonly logprobs: number | undefined;
  readonly jsonObject: boolean;
  readonly jsonSchema: string | undefined;
}

/** The library's options for these values. @throws SluiceError `bad_file` for a schema that is not JSON */
export async function chosenTokensFrom(values: ChosenTokens, signal: AbortSignal): Promise<GenerateOptions> {
  const { logitBias, presencePenalty, frequencyPenalty, logprobs, jsonObject, jsonSchema } = values;
  return {
    ...defined({ presencePenalty, frequencyPenalty }),
    ...(logitBias.length > 0 && { logitBias: new Map(logitBias) }),
    ...(logprobs !== undefined && { logprobs: true, topLogprobs: logprobs }),
    ...(jsonObject && { responseFormat: { type: "json_object" } as const }),
    ...(jsonSchema !== undefined && {
      responseFormat: { type: "json_schema", json_schema: { schema: await readSchema(jsonSchema, signal) } } as const,
    }),
  };
}

async function readSchema(file: string, signal: AbortSignal): Promise<JsonSchema> {
  try {
    return JSON.parse(await readTextFile(file, signal)) as JsonSchema;
  } catch (cause) {
    if (cause instanceof SluiceError) throw cause;
    throw new SluiceError("bad_file", `${file} is not JSON: ${(cause as Error).message}`, { cause });
  }
}
