/** Text to token ids and back: the one face that GPT-2's own tokenizer and tokenizer.json files share. */

export interface EncodeOptions {
  /**
   * Adds what the tokenizer puts around a text, such as BOS. Default true. Text made by a chat template
   * carries its own special tokens and is encoded with false.
   */
  readonly addSpecialTokens?: boolean;
}

export interface DecodeOptions {
  /** Leaves out special tokens such as `<s>`. Default true. */
  readonly skipSpecialTokens?: boolean;
}

export interface StreamOptions extends DecodeOptions {
  /**
   * Ids that stand before the streamed ones and whose text is not repeated: the prompt. They decide whether
   * the first streamed token keeps its leading space, and a character that they leave incomplete is completed.
   */
  readonly context?: readonly number[];
}

/** Turns ids into text as they come. Emits whole characters only; costs constant time per token. */
export interface TextStream {
  /** The text that became printable with this token; empty while a character is incomplete. */
  push(token: number): string;
  /** What is left: U+FFFD if the ids ended inside a character. The stream is used up afterwards. */
  end(): string;
}

/** A turn of a conversation; templates may read further fields (`name`, `tool_calls`, …). */
export interface ChatMessage {
  readonly role: string;
  readonly content: string;
  readonly [field: string]: unknown;
}

export interface ChatTemplateOptions {
  /** Ends the text with what opens the assistant's turn. */
  readonly addGenerationPrompt: boolean;
  /** Tool descriptions in JSON schema, as the template expects them. */
  readonly tools?: readonly Readonly<Record<string, unknown>>[];
}

export interface Tokenizer {
  encode(text: string, options?: EncodeOptions): number[];
  /** Ids outside the vocabulary add nothing; ids that end inside a character end in U+FFFD. */
  decode(ids: readonly number[], options?: DecodeOptions): string;
  /** The text of ids as they come. The pieces, joined, equal `decode` of the same ids. */
  stream(options?: StreamOptions): TextStream;
  /**
   * The conversation as one text, special tokens included: encode it with `addSpecialTokens: false`.
   * @throws SluiceError `usage` if the model has no chat template or the template refuses the messages
   */
  applyChatTemplate(messages: readonly ChatMessage[], options: ChatTemplateOptions): string;
  readonly bosTokenId?: number;
  readonly eosTokenId?: number;
  /** Highest id + 1. */
  readonly vocabSize: number;
}
