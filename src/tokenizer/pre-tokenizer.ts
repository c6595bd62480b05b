/** The `pre_tokenizer` of tokenizer.json, as the Rust library of tokenizers applies it. */

import { Growth } from "./growth.ts";
import { sets } from "./patterns/properties.ts";
import { lengthOf, type PreTokenize } from "./pipeline.ts";
import { byteLevel } from "./pre-tokenizers/byte-level.ts";
import { fixedLength, punctuation, unicodeScripts, words } from "./pre-tokenizers/characters.ts";
import { each } from "./pre-tokenizers/cut.ts";
import { metaspace } from "./pre-tokenizers/metaspace.ts";
import { behaviors, split, splitAtCharacters } from "./pre-tokenizers/split.ts";
import { Step } from "./step.ts";

/**
 * @param config the value of `pre_tokenizer`
 * @returns undefined if there is none
 * @throws SluiceError `bad_file` if it is damaged or not supported
 */
export function compilePreTokenizer(config: unknown): PreTokenize | undefined {
  if (config === null || config === undefined) return undefined;
  const growth = new Growth();
  const preTokenize = compile(new Step(config, "pre_tokenizer"), growth);
  return (pieces) => {
    growth.begin(lengthOf(pieces));
    return preTokenize(pieces);
  };
}

function compile(step: Step, growth: Growth): PreTokenize {
  switch (step.type) {
    case "Sequence": {
      const steps = step.steps("pretokenizers").map((each) => compile(each, growth));
      return (pieces) =>
        steps.reduce(
          (before, preTokenize) => {
            const after = preTokenize(before);
            growth.check(lengthOf(after));
            return after;
          },
          [...pieces],
        );
    }
    case "ByteLevel":
      return byteLevel(step.boolean("add_prefix_space", true), step.boolean("use_regex", true));
    case "Metaspace":
      return metaspace(step);
    case "Split":
      return split(step.pattern("pattern"), step.oneOf("behavior", behaviors), step.boolean("invert", false));
    case "Whitespace":
      return each(words);
    case "WhitespaceSplit":
      return each((piece, add) => splitAtCharacters(piece, sets.space(), "Removed", add));
    case "BertPreTokenizer": {
      const atSpaces: PreTokenize = each((piece, add) => splitAtCharacters(piece, sets.space(), "Removed", add));
      const atMarks: PreTokenize = each((piece, add) => splitAtCharacters(piece, punctuation(), "Isolated", add));
      return (pieces) => atMarks(atSpaces(pieces));
    }
    case "Punctuation": {
      const behavior = step.oneOf("behavior", behaviors, "Isolated");
      return each((piece, add) => splitAtCharacters(piece, punctuation(), behavior, add));
    }
    case "Digits": {
      const behavior = step.boolean("individual_digits", false) ? "Isolated" : "Contiguous";
      return each((piece, add) => splitAtCharacters(piece, sets.number(), behavior, add));
    }
    case "CharDelimiterSplit": {
      const delimiter = step.character("delimiter");
      return each((piece, add) => splitAtCharacters(piece, delimiter, "Removed", add));
    }
    case "UnicodeScripts":
      return each(unicodeScripts);
    case "FixedLength": {
      const length = step.get("length") ?? 5;
      if (typeof length !== "number" || !Number.isSafeInteger(length) || length < 1) {
        throw step.fail("needs a whole number above 0 as `length`");
      }
      return each((piece, add) => fixedLength(piece, length, add));
    }
    default:
      throw step.unknown();
  }
}
