/**
 * The normalizer of BERT. Its library takes marks and control characters from an old version of Unicode; here they are
 * those of the host.
 */
import type { Normalize } from "../pipeline.ts";
import type { Step } from "../step.ts";
import { byCharacter, lowerCase } from "./rewrite.ts";

export function bertNormalizer(step: Step): Normalize {
  const cleanText = step.boolean("clean_text", true);
  const spaceIdeographs = step.boolean("handle_chinese_chars", true);
  const lowercase = step.boolean("lowercase", true);
  // Whether accents are removed depends on `lowercase` if not stated.
  const stripAccents = step.boolean("strip_accents", lowercase);
  return byCharacter((text) => {
    let result = text;
    if (cleanText) result = result.replace(REMOVED, "").replace(/\p{White_Space}/gu, " ");
    if (spaceIdeographs) result = result.replace(IDEOGRAPHS, " $& ");
    if (stripAccents) result = result.normalize("NFD").replace(/\p{Mn}+/gu, "");
    return lowercase ? lowerCase(result) : result;
  });
}

/** Control and format characters, private use, U+FFFD; tabs and line ends stay. */
const REMOVED = /(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}\ufffd]/gu;

/** The blocks of ideographs that BERT knows. */
const IDEOGRAPHS =
  /[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u{20000}-\u{2a6df}\u{2a700}-\u{2b81f}\u{2b920}-\u{2ceaf}\u{2f800}-\u{2fa1f}]/gu;
