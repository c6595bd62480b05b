/**
 * Decodes a stream of tokens. A token's text seldom depends on later tokens, so it is shown
 * at once; characters whose bytes are incomplete wait, and decoders that need the whole text run at its end.
 *
 * The pieces, joined, are the text of the whole, with one exception: the Rust library replaces every byte of a run of
 * `<0x..>` tokens by U+FFFD if the run is not UTF-8 as a whole. Characters already shown stay.
 */
import { byteLevelBytes, type DecoderStep, decodeTokens, fallbackByte, type TokenStep } from "./decoder.ts";

/** Turns tokens into text as they come. */
export interface TokenTexts {
  /** Takes a token; returns the text that can be shown now. */
  push(token: string): string;
  /** Marks the tokens so far as context, whose text is not returned. */
  mark(): void;
  /** The remaining text. */
  end(): string;
}

export function streamTokens(steps: readonly DecoderStep[]): TokenTexts {
  const plan = planOf(steps);
  return plan ? new DirectStream(plan) : new LateStream(steps);
}

/** A chain of steps on single tokens, then bytes, then a cut at the beginning of the whole text. */
interface StreamPlan {
  readonly steps: readonly TokenStep[];
  readonly bytes: "byte-level" | "byte-fallback" | undefined;
  readonly stripStart: { readonly character: string; readonly count: number } | undefined;
}

/** Undefined if the chain is of another form. */
function planOf(chain: readonly DecoderStep[]): StreamPlan | undefined {
  const steps: TokenStep[] = [];
  let bytes: StreamPlan["bytes"];
  let isFused = false;
  let stripStart: StreamPlan["stripStart"];
  for (const step of chain) {
    if (step.kind === "token" && !bytes && !isFused) steps.push(step.step);
    else if ((step.kind === "byte-level" || step.kind === "byte-fallback") && !bytes && !isFused) {
      bytes = step.kind;
      isFused = step.kind === "byte-level";
    } else if (step.kind === "fuse" && !stripStart) isFused = true;
    else if (step.kind === "strip" && isFused && !stripStart && step.stop === 0) {
      stripStart = { character: step.character, count: step.start };
    } else return undefined;
  }
  return { steps, bytes, stripStart };
}

class DirectStream implements TokenTexts {
  readonly #plan: StreamPlan;
  readonly #bytes: { push(token: string): string; end(): string };
  #count = 0;
  #toStrip: number;

  constructor(plan: StreamPlan) {
    this.#plan = plan;
    this.#bytes =
      plan.bytes === "byte-level"
        ? new ByteLevelText()
        : plan.bytes === "byte-fallback"
          ? new ByteRunText()
          : plainText;
    this.#toStrip = plan.stripStart?.count ?? 0;
  }

  push(token: string): string {
    const index = this.#count++;
    return this.#strip(this.#bytes.push(this.#plan.steps.reduce((text, step) => step(text, index), token)));
  }

  mark(): void {
    // The results of push were dropped.
  }

  end(): string {
    return this.#strip(this.#bytes.end());
  }

  #strip(text: string): string {
    const rule = this.#plan.stripStart;
    if (!rule || this.#toStrip === 0 || text === "") return text;
    let start = 0;
    while (this.#toStrip > 0 && text.startsWith(rule.character, start)) {
      start += rule.character.length;
      this.#toStrip--;
    }
    if (start < text.length) this.#toStrip = 0;
    return text.slice(start);
  }
}

const plainText = { push: (text: string): string => text, end: (): string => "" };

class ByteLevelText {
  // A byte order mark inside generated text is text: the decoder must not swallow it.
  readonly #utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

  push(token: string): string {
    return this.#utf8.decode(byteLevelBytes(token), { stream: true });
  }

  end(): string {
    return this.#utf8.decode();
  }
}

/** Byte tokens among other tokens. */
class ByteRunText {
  #utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  /** Bytes of the incomplete character. */
  #waiting = 0;
  /** Whether the run can no longer be UTF-8. */
  #isBroken = false;

  push(token: string): string {
    const byte = fallbackByte(token);
    if (byte === undefined) return this.end() + token;
    if (this.#isBroken) return "\ufffd";
    this.#waiting++;
    const text = this.#decode(() => this.#utf8.decode(Uint8Array.of(byte), { stream: true }));
    if (text !== "") this.#waiting = 0;
    return text;
  }

  end(): string {
    const text = this.#waiting > 0 ? this.#decode(() => this.#utf8.decode()) : "";
    this.#waiting = 0;
    this.#isBroken = false;
    return text;
  }

  #decode(decode: () => string): string {
    try {
      return decode();
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      this.#utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
      this.#isBroken = true;
      return "\ufffd".repeat(this.#waiting);
    }
  }
}

/** Keeps all tokens and decodes them when the last has come. */
class LateStream implements TokenTexts {
  readonly #steps: readonly DecoderStep[];
  readonly #tokens: string[] = [];
  #context = 0;

  constructor(steps: readonly DecoderStep[]) {
    this.#steps = steps;
  }

  push(token: string): string {
    this.#tokens.push(token);
    return "";
  }

  mark(): void {
    this.#context = this.#tokens.length;
  }

  end(): string {
    const text = decodeTokens(this.#steps, this.#tokens);
    const context = decodeTokens(this.#steps, this.#tokens.slice(0, this.#context));
    let shared = 0;
    while (shared < context.length && context[shared] === text[shared]) shared++;
    return text.slice(shared);
  }
}
