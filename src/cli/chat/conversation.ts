/** A conversation, and the part of it that the model sees, laid out by a chat template within a context. */
import { SluiceError } from "../../errors.ts";
import type { ChatMessage, Tokenizer } from "../../index.ts";
import { tokenAfterAnswer } from "../../tokenizer/end-of-turn.ts";

/** A message and its answer. The last turn has none until it is complete. */
interface Turn {
  readonly user: string;
  answer: string | undefined;
}

export interface LaidOut {
  /** Ids of the conversation, up to the beginning of the answer. */
  readonly tokens: readonly number[];
  /** Turns newly left out because the context is full. */
  readonly dropped: number;
}

export class Conversation {
  readonly #tokenizer: Tokenizer;
  readonly #template: string | undefined;
  #system: string | undefined;
  #turns: Turn[] = [];
  /** The first turn that the model still sees. */
  #first = 0;
  /** The text up to the end of the last answer, and the ids that the model read and generated. */
  #heard: { readonly text: string; readonly tokens: readonly number[] } | undefined;
  /** The same at the beginning of the last answer. */
  #asked: { readonly text: string; readonly tokens: readonly number[] } | undefined;

  /**
   * @param template instead of the model's own
   * @throws SluiceError `bad_tokens` without a tokenizer, `usage` without a template, or if it refuses a system
   *   message: before the first line is typed
   */
  constructor(tokenizer: Tokenizer | null, system: string | undefined, template: string | undefined) {
    if (!tokenizer) {
      throw new SluiceError("bad_tokens", "This model's folder has no tokenizer, so it cannot hold a conversation", {
        hint: "Add tokenizer.json and tokenizer_config.json, or use `sluice generate --tokens`.",
      });
    }
    this.#tokenizer = tokenizer;
    this.#template = template;
    this.#system = system;
    this.#render([{ user: "?", answer: undefined }], true);
  }

  get system(): string | undefined {
    return this.#system;
  }

  /** Replaces the system message, or takes it away. @throws SluiceError `usage` if the template refuses it */
  setSystem(text: string | undefined): void {
    const before = this.#system;
    this.#system = text;
    try {
      this.#render([{ user: "?", answer: undefined }], true);
    } catch (error) {
      this.#system = before;
      throw error;
    }
  }

  /** All messages, also those that the model no longer sees. */
  get messages(): readonly ChatMessage[] {
    return this.#messages(this.#turns);
  }

  /** Turns that the model no longer sees. */
  get forgotten(): number {
    return this.#first;
  }

  /** Tokens that end an answer: the tokenizer's end of text, and the special token that the template puts after an answer. */
  get endOfTurn(): readonly number[] {
    const { eosTokenId } = this.#tokenizer;
    const after = tokenAfterAnswer(this.#tokenizer, this.#template === undefined ? {} : { template: this.#template });
    return [...new Set([eosTokenId, after].filter((id) => id !== undefined))];
  }

  ask(message: string): void {
    this.#turns.push({ user: message, answer: undefined });
  }

  /**
   * Records the answer to the last message, or the part that was generated.
   * @param tokens the ids of that text
   */
  answered(text: string, tokens: readonly number[]): void {
    const last = this.#turns.at(-1);
    if (last) last.answer = text;
    const asked = this.#asked;
    // A stop text may cut within a token: the ids then hold more than the text.
    const isWhole = this.#tokenizer.decode(tokens) === text;
    this.#heard = asked && isWhole ? { text: asked.text + text, tokens: [...asked.tokens, ...tokens] } : undefined;
  }

  /** Removes the last message, which got no answer. */
  withdraw(): void {
    this.#turns.pop();
    this.#first = Math.min(this.#first, this.#turns.length);
  }

  /** Removes the last answer, so that it can be generated again. @returns whether there was one */
  reopen(): boolean {
    const last = this.#turns.at(-1);
    if (last) last.answer = undefined;
    return last !== undefined;
  }

  /** Removes all turns; the system message stays. */
  reset(): void {
    this.#turns = [];
    this.#first = 0;
  }

  /**
   * The ids that the next answer continues. If they leave less than `room` of the context, the oldest turns are left
   * out, never the system message or the last message.
   * @throws SluiceError `context_overflow` if the last message alone does not fit
   */
  layOut(context: number, room: number): LaidOut {
    const before = this.#first;
    for (;;) {
      const text = this.#render(this.#turns.slice(this.#first), true);
      const tokens = this.#encode(text);
      this.#asked = { text, tokens };
      if (tokens.length + room <= context) return { tokens, dropped: this.#first - before };
      if (this.#first < this.#turns.length - 1) {
        this.#first++;
        continue;
      }
      // An answer can begin in whatever room is left.
      if (tokens.length < context) return { tokens, dropped: this.#first - before };
      throw new SluiceError("context_overflow", `The message takes ${tokens.length} of ${context} tokens of context`, {
        hint: "Shorten it or the system message, or start with a larger --context",
      });
    }
  }

  /**
   * Ids of a conversation's text. The model's answers keep the ids that it generated: encoded again, some words could
   * become other tokens, and the cache would have to be computed again from there.
   */
  #encode(text: string): readonly number[] {
    // The template has put BOS and the like into the text already.
    const encode = (part: string): readonly number[] => this.#tokenizer.encode(part, { addSpecialTokens: false });
    const tokens = encode(text);
    const heard = this.#heard;
    if (!heard || !text.startsWith(heard.text)) return tokens;
    // New text is encoded together with the text before it: alone, its first word could begin with another token.
    const before = encode(heard.text);
    if (before.some((id, i) => tokens[i] !== id)) return tokens;
    return [...heard.tokens, ...tokens.slice(before.length)];
  }

  #messages(turns: readonly Turn[]): ChatMessage[] {
    const system = this.#system === undefined ? [] : [{ role: "system", content: this.#system }];
    return [
      ...system,
      ...turns.flatMap(({ user, answer }) => [
        { role: "user", content: user },
        ...(answer === undefined ? [] : [{ role: "assistant", content: answer }]),
      ]),
    ];
  }

  #render(turns: readonly Turn[], addGenerationPrompt: boolean): string {
    return this.#tokenizer.applyChatTemplate(this.#messages(turns), {
      addGenerationPrompt,
      ...(this.#template !== undefined && { template: this.#template }),
    });
  }
}
