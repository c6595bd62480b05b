/**
 * The normalizer `Precompiled`: a table compiled by SentencePiece, of replacements for characters and sequences.
 * It has a double array (a trie over bytes, by Darts-clone), whose leaves are offsets into a list of replacements.
 */
import type { Normalize } from "../pipeline.ts";
import type { Step } from "../step.ts";
import { eachGrapheme } from "./graphemes.ts";
import { byCharacter } from "./rewrite.ts";

/** Longer sequences, in bytes, are looked up character by character. */
const LONGEST = 5;
const MAX_REMEMBERED = 20_000;

export function precompiled(step: Step): Normalize {
  const table = readTable(step);
  const remembered = new Map<string, string>();

  const rewrite = (grapheme: string): string => {
    let result = remembered.get(grapheme);
    if (result === undefined) {
      result = table.rewrite(grapheme);
      if (remembered.size < MAX_REMEMBERED) remembered.set(grapheme, result);
    }
    return result;
  };

  return byCharacter((text) => {
    let result = "";
    eachGrapheme(text, (grapheme) => {
      result += rewrite(grapheme);
    });
    return result;
  });
}

interface Table {
  rewrite(grapheme: string): string;
}

function readTable(step: Step): Table {
  const bytes = decodeBase64(step.string("precompiled_charsmap"));
  if (!bytes || bytes.length < 4) throw step.fail("has a `precompiled_charsmap` that is not base64");
  const view = new DataView(bytes.buffer);
  const size = view.getUint32(0, true);
  if (size % 4 !== 0 || size === 0 || 4 + size > bytes.length) throw step.fail("has a damaged `precompiled_charsmap`");
  const units = Uint32Array.from({ length: size / 4 }, (_, index) => view.getUint32(4 + 4 * index, true));
  const replacements = bytes.subarray(4 + size);
  const encoder = new TextEncoder();
  const decoder = new TextDecoder();

  const replacement = (text: string): string | undefined => {
    const place = findPrefix(units, encoder.encode(text));
    if (place === undefined || place > replacements.length) return undefined;
    const end = replacements.indexOf(0, place);
    return decoder.decode(replacements.subarray(place, end < 0 ? undefined : end));
  };

  return {
    rewrite(grapheme) {
      const whole = encoder.encode(grapheme).length <= LONGEST ? replacement(grapheme) : undefined;
      if (whole !== undefined) return whole;
      return Array.from(grapheme, (character) => replacement(character) ?? character).join("");
    },
  };
}

/**
 * The value of the shortest key that the bytes begin with. SentencePiece uses the longest; the library of tokenizers
 * uses this one, for all of the bytes.
 */
function findPrefix(units: Uint32Array, bytes: Uint8Array): number | undefined {
  let node = offsetOf(units[0] as number);
  for (const byte of bytes) {
    if (byte === 0) return undefined;
    node ^= byte;
    const unit = units[node];
    // The label of a leaf has its highest bit set.
    if (unit === undefined || (unit & 0x800000ff) >>> 0 !== byte) return undefined;
    node ^= offsetOf(unit);
    if ((unit >>> 8) & 1) {
      const leaf = units[node];
      return leaf === undefined ? undefined : leaf & 0x7fffffff;
    }
  }
  return undefined;
}

function offsetOf(unit: number): number {
  return (unit >>> 10) << ((unit & (1 << 9)) >>> 6);
}

function decodeBase64(text: string): Uint8Array<ArrayBuffer> | undefined {
  let binary: string;
  try {
    binary = atob(text);
  } catch (error) {
    if (error instanceof DOMException) return undefined;
    throw error;
  }
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}
