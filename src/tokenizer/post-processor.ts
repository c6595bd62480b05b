/**
 * The `post_processor` of a tokenizer.json: the ids around those of a text.
 * Semantics: https://github.com/huggingface/tokenizers/tree/main/tokenizers/src/processors
 */
import { show } from "../show.ts";
import { isObject } from "./json.ts";
import { isTokenId } from "./models/vocabulary.ts";
import { Step } from "./step.ts";

/** @param withSpecials false omits special tokens; the rest of a template stays */
export type PostProcess = (ids: readonly number[], withSpecials: boolean) => number[];

/** Works on parts: a template makes one part per piece, and the next processor frames each, as in Rust. */
type Processor = (parts: readonly (readonly number[])[], withSpecials: boolean) => readonly (readonly number[])[];

/**
 * @param config the `post_processor` field; null and undefined for none
 * @throws SluiceError `bad_file` for a processor that is malformed or of an unknown type
 */
export function compilePostProcessor(config: unknown): PostProcess {
  if (config === null || config === undefined) return (ids) => [...ids];
  const processor = compile(new Step(config, "post_processor"));
  return (ids, withSpecials) => processor([ids], withSpecials).flat();
}

function compile(step: Step): Processor {
  switch (step.type) {
    case "TemplateProcessing":
      return template(step);
    case "BertProcessing":
      return frame(step, (cls, sep, first) => (first ? [[cls], [sep]] : [[], [sep]]));
    case "RobertaProcessing":
      return frame(step, (cls, sep, first) => (first ? [[cls], [sep]] : [[sep], [sep]]));
    case "ByteLevel":
      // Moves offsets, which are not kept.
      return (parts) => parts;
    case "Sequence": {
      const processors = step.steps("processors").map(compile);
      return (parts, withSpecials) => processors.reduce((now, next) => next(now, withSpecials), parts);
    }
    default:
      throw step.unknown();
  }
}

/** Puts a class token and a separator around parts. */
function frame(
  step: Step,
  around: (cls: number, sep: number, first: boolean) => readonly [readonly number[], readonly number[]],
): Processor {
  const idOf = (field: string): number => {
    const token = step.get(field);
    const id: unknown = Array.isArray(token) ? token[1] : undefined;
    if (isTokenId(id)) return id;
    throw step.fail(`needs a token and its id as \`${field}\`, not ${show(token)}`);
  };
  const cls = idOf("cls");
  const sep = idOf("sep");
  return (parts, withSpecials) => {
    if (!withSpecials) return parts;
    return parts.map((part, index) => {
      const [before, after] = around(cls, sep, index === 0);
      return [...before, ...part, ...after];
    });
  };
}

/** Ids that a template puts around each text: a name of many ids, many times, would be more than a file can hold. */
const MOST_AROUND = 10_000;
/** How often a template may repeat its texts. */
const MOST_TEXTS = 16;

/** A piece of a template: ids, or the index of the sequence in its place. */
type TemplatePiece = { readonly ids: readonly number[] } | { readonly sequence: number };

function template(step: Step): Processor {
  const specials = step.get("special_tokens");
  const known = new Map(Object.entries(isObject(specials) ? specials : {}));
  const read = (field: string): TemplatePiece[] => {
    const pieces = step.get(field);
    if (!Array.isArray(pieces)) throw step.fail(`needs a list of \`${field}\``);
    const list = pieces.map((piece: unknown) => readPiece(step, piece, known));
    const texts = list.filter((piece) => "sequence" in piece).length;
    if (texts > MOST_TEXTS) throw step.fail(`puts ${texts} texts into \`${field}\`; at most ${MOST_TEXTS} can be`);
    const around = list.reduce((sum, piece) => sum + ("ids" in piece ? piece.ids.length : 0), 0);
    if (around > MOST_AROUND) {
      throw step.fail(`puts ${around} ids around a text in \`${field}\`; at most ${MOST_AROUND} can be`);
    }
    return list;
  };
  const single = read("single");
  if (single.some((piece) => "sequence" in piece && piece.sequence > 0)) {
    throw step.fail("names a second text in `single`, the template of one");
  }
  const pair = step.get("pair") === undefined ? [] : read("pair");
  return (parts, withSpecials) => {
    if (parts.length > 2 || parts.length === 0)
      throw step.fail("follows a post-processor that makes several parts of a text");
    const made: (readonly number[])[] = [];
    for (const piece of parts.length === 1 ? single : pair) {
      if ("sequence" in piece) made.push(parts[piece.sequence] as readonly number[]);
      else if (withSpecials) made.push(piece.ids);
    }
    return made;
  };
}

function readPiece(step: Step, piece: unknown, specials: ReadonlyMap<string, unknown>): TemplatePiece {
  const { SpecialToken, Sequence } = isObject(piece) ? piece : {};
  if (isObject(Sequence) && (Sequence.id === "A" || Sequence.id === "B")) {
    return { sequence: Sequence.id === "A" ? 0 : 1 };
  }
  const name = isObject(SpecialToken) ? SpecialToken.id : undefined;
  const token = typeof name === "string" ? specials.get(name) : undefined;
  const ids = isObject(token) ? token.ids : undefined;
  if (Array.isArray(ids) && ids.every(isTokenId)) return { ids };
  throw step.fail(`has the piece ${show(piece)}, neither a text nor one of \`special_tokens\``);
}
