/**
 * The `decoder` of a tokenizer.json, compiled to bytes per token. Hugging Face describes it as a chain of
 * steps over the list of all tokens; every step that language models use acts on one token at a time, but for
 * the first token and for the beginning of the fused text, so it can run along a stream.
 * Semantics: https://github.com/huggingface/tokenizers/tree/main/tokenizers/src/decoders
 */
import { SluiceError } from "../errors.ts";
import { show } from "../show.ts";
import { isObject, type JsonObject } from "./json.ts";
import type { Pieces } from "./pieces.ts";

/** One step on one token; `first` tells the first token of the text. */
type Step = (token: string, first: boolean) => string;

export interface CompiledDecoder {
  bytes(token: string, first: boolean): Uint8Array;
  readonly stripStart: Pieces["stripStart"];
}

const utf8 = new TextEncoder();

/**
 * @param config the `decoder` field: an object, or null where tokens are words joined by spaces
 * @param added contents of the added tokens, which stand for themselves and not for mapped bytes
 * @throws SluiceError `bad_file` for a decoder that is malformed or cannot be streamed
 */
export function compileDecoder(config: unknown, added: ReadonlySet<string>): CompiledDecoder {
  const chain = new Chain();
  if (config === null || config === undefined) chain.steps.push((token, first) => (first ? token : ` ${token}`));
  else chain.add(config);
  const { steps, toBytes, stripStart } = chain;
  return {
    stripStart,
    bytes(token, first) {
      if (toBytes) {
        const bytes = added.has(token) ? undefined : toBytes(token);
        if (bytes) return bytes;
      }
      return utf8.encode(steps.reduce((text, step) => step(text, first), token));
    },
  };
}

/** Collects the steps of a decoder, nested sequences laid flat. */
class Chain {
  readonly steps: Step[] = [];
  /** Bytes of tokens that are not text themselves; undefined for the others. */
  toBytes: ((token: string) => Uint8Array | undefined) | undefined;
  stripStart: Pieces["stripStart"];
  #fused = false;

  add(config: unknown): void {
    if (!isObject(config)) throw malformed("decoder is not an object");
    const type = config.type;
    switch (type) {
      case "Sequence":
        if (!Array.isArray(config.decoders)) throw malformed("decoder Sequence has no list `decoders`");
        for (const decoder of config.decoders) this.add(decoder);
        return;
      case "ByteLevel":
        this.toBytes = byteLevelBytes;
        return;
      case "ByteFallback":
        this.toBytes = fallbackByte;
        return;
      case "Fuse":
        this.#fused = true;
        return;
      case "Strip":
        this.#addStrip(config);
        return;
      case "Replace":
        this.#addStep(replaceStep(config), type);
        return;
      case "Metaspace":
        this.#addStep(metaspaceStep(config), type);
        return;
      case "WordPiece":
        this.#addStep(wordPieceStep(config), type);
        return;
      default:
        throw new SluiceError("bad_file", `tokenizer.json: decoder ${show(type)} is not supported`, {
          hint: "Give the prompt as token ids instead of text.",
        });
    }
  }

  #addStep(step: Step, type: string): void {
    if (this.#fused) throw malformed(`decoder ${type} after Fuse is not supported`);
    this.steps.push(step);
  }

  #addStrip(config: JsonObject): void {
    const { content, start, stop } = config;
    if (typeof content !== "string" || content === "" || !isCount(start) || !isCount(stop)) {
      throw malformed("decoder Strip needs `content`, and counts `start` and `stop`");
    }
    if (!this.#fused) {
      this.steps.push((token) => stripEnd(stripBeginning(token, content, start), content, stop));
      return;
    }
    if (stop > 0) throw malformed("decoder Strip at the end of the text is not supported");
    this.stripStart = { character: content, count: start };
  }
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0;
}

function stripBeginning(token: string, content: string, count: number): string {
  let rest = token;
  for (let i = 0; i < count && rest.startsWith(content); i++) rest = rest.slice(content.length);
  return rest;
}

function stripEnd(token: string, content: string, count: number): string {
  let rest = token;
  for (let i = 0; i < count && rest.endsWith(content); i++) rest = rest.slice(0, -content.length);
  return rest;
}

function replaceStep(config: JsonObject): Step {
  const { pattern, content } = config;
  if (!isObject(pattern) || typeof content !== "string")
    throw malformed("decoder Replace needs `pattern` and `content`");
  if (typeof pattern.String === "string") {
    const searched = pattern.String;
    return (token) => token.replaceAll(searched, content);
  }
  if (typeof pattern.Regex !== "string") throw malformed("decoder Replace has neither a String nor a Regex pattern");
  const regex = compileRegex(pattern.Regex);
  return (token) => token.replace(regex, () => content);
}

function compileRegex(source: string): RegExp {
  try {
    return new RegExp(source, "gu");
  } catch (cause) {
    throw malformed(`decoder Replace: the pattern ${show(source)} is not understood`, cause);
  }
}

function metaspaceStep(config: JsonObject): Step {
  const replacement = typeof config.replacement === "string" ? config.replacement : "▁";
  // Files from before tokenizers 0.15 say add_prefix_space in place of prepend_scheme.
  const prepends = (config.prepend_scheme ?? (config.add_prefix_space === false ? "never" : "always")) !== "never";
  return (token, first) => {
    const text = token.replaceAll(replacement, " ");
    return first && prepends && text.startsWith(" ") ? text.slice(1) : text;
  };
}

function wordPieceStep(config: JsonObject): Step {
  const prefix = typeof config.prefix === "string" ? config.prefix : "##";
  return (token, first) => {
    if (first) return token;
    return prefix !== "" && token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`;
  };
}

/** `<0x0A>` stands for the byte 10. */
function fallbackByte(token: string): Uint8Array | undefined {
  return /^<0x[0-9A-Fa-f]{2}>$/.test(token) ? Uint8Array.of(Number.parseInt(token.slice(3, 5), 16)) : undefined;
}

/** Undefined if a character stands for no byte: then the token is text itself. */
function byteLevelBytes(token: string): Uint8Array | undefined {
  const bytes = new Uint8Array(token.length);
  for (let i = 0; i < token.length; i++) {
    const byte = BYTE_OF_CODE.get(token.charCodeAt(i));
    if (byte === undefined) return undefined;
    bytes[i] = byte;
  }
  return bytes;
}

/**
 * GPT-2 writes each byte as one visible character: printable Latin-1 as itself, the other 68 bytes, in order,
 * as U+0100 and up. https://github.com/openai/gpt-2/blob/master/src/encoder.py (bytes_to_unicode)
 */
const BYTE_OF_CODE: ReadonlyMap<number, number> = (() => {
  const codes = new Map<number, number>();
  let shifted = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const visible = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
    codes.set(visible ? byte : shifted++, byte);
  }
  return codes;
})();

function malformed(what: string, cause?: unknown): SluiceError {
  return new SluiceError("bad_file", `tokenizer.json: ${what}`, {
    hint: "Fetch the file again, or give the prompt as token ids instead of text.",
    cause,
  });
}
