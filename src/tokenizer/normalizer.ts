/** The `normalizer` of tokenizer.json, as the Rust library of tokenizers applies it. */
import { toByteCharacters } from "./byte-characters.ts";
import { Growth } from "./growth.ts";
import { bertNormalizer } from "./normalizers/bert.ts";
import { nmt } from "./normalizers/nmt.ts";
import { precompiled } from "./normalizers/precompiled.ts";
import { replace } from "./normalizers/replace.ts";
import { byCharacter, lowerCase } from "./normalizers/rewrite.ts";
import type { Normalize } from "./pipeline.ts";
import { Step } from "./step.ts";

/**
 * @param config the value of `normalizer`
 * @returns undefined if there is none
 * @throws SluiceError `bad_file` if it is damaged or not supported
 */
export function compileNormalizer(config: unknown): Normalize | undefined {
  if (config === null || config === undefined) return undefined;
  const growth = new Growth();
  const normalize = compile(new Step(config, "normalizer"), growth);
  return (piece) => {
    growth.begin(piece.text.length);
    return normalize(piece);
  };
}

function compile(step: Step, growth: Growth): Normalize {
  switch (step.type) {
    case "Sequence": {
      const steps = step.steps("normalizers").map((each) => compile(each, growth));
      return (piece) =>
        steps.reduce((before, normalize) => {
          const after = normalize(before);
          growth.check(after.text.length);
          return after;
        }, piece);
    }
    case "NFC":
    case "NFD":
    case "NFKC":
    case "NFKD": {
      const { type } = step;
      return byCharacter((text) => text.normalize(type));
    }
    case "Lowercase":
      return byCharacter(lowerCase);
    case "Strip":
      return strip(step.boolean("strip_left", true), step.boolean("strip_right", true));
    case "StripAccents":
      return byCharacter((text) => text.replace(/\p{M}+/gu, ""));
    case "Replace":
      return replace(step.pattern("pattern"), step.string("content"), growth);
    case "Prepend":
      return prepend(step.string("prepend"));
    case "BertNormalizer":
      return bertNormalizer(step);
    case "Nmt":
      return byCharacter(nmt);
    case "Precompiled":
      return precompiled(step);
    case "ByteLevel":
      return byCharacter(toByteCharacters);
    default:
      throw step.unknown();
  }
}

function strip(left: boolean, right: boolean): Normalize {
  return ({ text, head }) => {
    // JavaScript's trim also removes U+FEFF, and keeps U+0085.
    const start = left ? (/^\p{White_Space}+/u.exec(text)?.[0].length ?? 0) : 0;
    let end = text.length;
    while (right && end > start && /\p{White_Space}/u.test(text.charAt(end - 1))) end--;
    return { text: text.slice(start, end), head: Math.max(head - start, 0) };
  };
}

function prepend(text: string): Normalize {
  return (piece) => {
    if (piece.text === "") return piece;
    return { text: text + piece.text, head: piece.head === 0 ? 0 : text.length + piece.head };
  };
}
