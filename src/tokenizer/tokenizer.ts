/** Text to token ids and back: the interface of a tokenizer. */

/** Options of {@link Tokenizer.encode}. */
export interface EncodeOptions {
  /**
   * Adds the tokens around a text, such as BOS. Default true. Text made by a chat template
   * carries its own special tokens and is encoded with false.
   */
  readonly addSpecialTokens?: boolean;
  /** Called with a notice if the text has its own BOS, which is then not added again. */
  readonly onNotice?: (message: string) => void;
}

/** Options of {@link Tokenizer.decode}. */
export interface DecodeOptions {
  /** Omits special tokens such as `<s>`. Default true. */
  readonly skipSpecialTokens?: boolean;
}

/** Options of {@link Tokenizer.stream}. */
export interface StreamOptions extends DecodeOptions {
  /**
   * Ids before the streamed ones, whose text is not repeated: the prompt. They decide whether
   * the first streamed token keeps its leading space, and a character that they leave incomplete is completed.
   */
  readonly context?: readonly number[];
}

/** Turns ids into text as they come. Emits whole characters only; costs constant time per token. */
export interface TextStream {
  /** The text that became printable with this token; empty while a character is incomplete. */
  push(token: number): string;
  /** The remaining text: U+FFFD if the ids ended inside a character. The stream ends with this. */
  end(): string;
}

/** A part of a message's content, such as `{ type: "text", text: "…" }`. */
export interface ChatContentPart {
  /** Kind of the part, as the template names it. */
  readonly type: string;
  readonly [field: string]: unknown;
}

/** A turn of a conversation; templates may read further fields (`name`, `tool_calls`, `reasoning_content`, …). */
export interface ChatMessage {
  /** Who speaks, such as `user`. */
  readonly role: string;
  /** Passed to the template unchanged: it decides whether it accepts parts, or null with `tool_calls`. */
  readonly content?: string | readonly ChatContentPart[] | null;
  readonly [field: string]: unknown;
}

/**
 * Everything is passed to the template as plain data. A number without a fraction is a whole number there, as `3` is in
 * JSON; a bigint is a whole number of any size; a Map is a dictionary.
 */
export interface ChatTemplateOptions {
  /** Ends the text with the opening of the assistant's turn. Default false. */
  readonly addGenerationPrompt?: boolean;
  /** Ends the text within the last message, which the model continues; a string names a field other than `content`. */
  readonly continueFinalMessage?: boolean | string;
  /** Tool descriptions in JSON schema, as the template expects them. Without it, `tools` is None. */
  readonly tools?: readonly Readonly<Record<string, unknown>>[];
  /** For templates of retrieval: `{ title, text }` each. Without it, `documents` is None. */
  readonly documents?: readonly Readonly<Record<string, unknown>>[];
  /** Further variables that the template reads, such as `{ enable_thinking: false }`. They take precedence over special tokens. */
  readonly variables?: Readonly<Record<string, unknown>>;
  /** A template's text, or the name of one of the model's templates. Default: `tool_use` with tools if there is one, else `default`. */
  readonly template?: string;
  /** The clock for `strftime_now`. Default: the current time. */
  readonly now?: () => Date;
}

/** A model's tokenizer. */
export interface Tokenizer {
  /**
   * The ids that the Rust library `tokenizers` gives, set up as transformers sets it up, with one exception: a text that
   * begins with BOS gets no second one. Lone surrogates count as U+FFFD. Characters for which a BPE has neither a token
   * nor an unknown token are dropped.
   * @throws SluiceError `bad_tokens` for text without a token, in tokenizers of other types without an unknown token
   */
  encode(text: string, options?: EncodeOptions): number[];
  /** Ids outside the vocabulary add nothing; ids that end inside a character end in U+FFFD. */
  decode(ids: readonly number[], options?: DecodeOptions): string;
  /**
   * The text of ids as they come. The pieces, joined, equal `decode` of the same ids, unless these hold byte tokens
   * (`<0x0A>`) that are not valid UTF-8: `decode` replaces a whole run of them, part of which was already shown.
   */
  stream(options?: StreamOptions): TextStream;
  /**
   * The conversation as one text, special tokens included: encode it with `addSpecialTokens: false`.
   * Renders the same text as transformers. No template runs longer than a second or two, or has access to the host.
   * @throws SluiceError `usage` if the model has no chat template, or the template refuses the messages or fails on
   * them; `bad_file` if it cannot be parsed or exceeds its limits
   */
  applyChatTemplate(messages: readonly ChatMessage[], options?: ChatTemplateOptions): string;
  /** Id of the token that begins a text; absent if there is none. */
  readonly bosTokenId?: number;
  /** Id of the token that ends a text; absent if there is none. */
  readonly eosTokenId?: number;
  /**
   * The bytes that a token stands for in the middle of a text; undefined for special tokens, ids outside the vocabulary,
   * and tokenizers whose tokens have no bytes of their own.
   */
  tokenBytes?(id: number): Uint8Array | undefined;
  /** The tokens that `decode` leaves out, and their texts. */
  readonly specialTokens?: ReadonlyMap<number, string>;
  /** Highest id + 1, ids that are put around a text included. */
  readonly vocabSize: number;
}
