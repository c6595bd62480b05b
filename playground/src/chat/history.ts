/** What one side of a chat has heard and said: its ids within a context, with the oldest turns left out when it is full. */
import type { ChatMessage } from "sluice";
import type { WorkerTokenizer } from "sluice/worker";

/** A message and its answer; the last has none yet. */
export interface Exchange {
  readonly message: string;
  readonly answer: string | null;
}

export interface Question {
  readonly system: string;
  readonly exchanges: readonly Exchange[];
  /** Positions of the cache. */
  readonly context: number;
  /** Of these, what is kept free for an answer if that is possible. */
  readonly room: number;
}

export interface LaidOut {
  readonly ids: readonly number[];
  /** Index of the first exchange that the model still sees. */
  readonly first: number;
}

interface Text {
  readonly text: string;
  readonly ids: readonly number[];
}

/** The last message alone is longer than the context. */
class ContextFull extends Error {
  readonly code = "context_overflow";
  readonly hint = "Shorten it or the system message.";
}

/** As of `sluice chat`: answers keep the ids that were generated, so that the cache holds them already. */
export class History {
  #first = 0;
  /** At the beginning and at the end of the last answer. */
  #asked: Text | null = null;
  #heard: Text | null = null;

  /** @throws an error with a hint if the last message alone does not fit */
  async layOut(tokenizer: WorkerTokenizer, { system, exchanges, context, room }: Question): Promise<LaidOut> {
    for (;;) {
      const messages = messagesOf(system, exchanges.slice(this.#first));
      const text = await tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true });
      const ids = await this.#encode(tokenizer, text);
      this.#asked = { text, ids };
      const isLast = this.#first >= exchanges.length - 1;
      // An answer can begin in whatever room is left.
      if (ids.length + room <= context || (isLast && ids.length < context)) return { ids, first: this.#first };
      if (isLast) throw new ContextFull(`The message takes ${ids.length} of ${context} tokens of context`);
      this.#first += 1;
    }
  }

  /** Records the answer to what was laid out last, or the part that was generated. */
  async answered(tokenizer: WorkerTokenizer, { text, ids }: Text): Promise<void> {
    const asked = this.#asked;
    const isWhole = (await tokenizer.decode(ids)) === text;
    this.#heard = asked && isWhole ? { text: asked.text + text, ids: [...asked.ids, ...ids] } : null;
  }

  clone(): History {
    const other = new History();
    other.#first = this.#first;
    other.#asked = this.#asked;
    other.#heard = this.#heard;
    return other;
  }

  async #encode(tokenizer: WorkerTokenizer, text: string): Promise<readonly number[]> {
    if (text === this.#asked?.text) return this.#asked.ids;
    // The template has put BOS and the like into the text already.
    const encode = (part: string) => tokenizer.encode(part, { addSpecialTokens: false });
    const ids = await encode(text);
    const heard = this.#heard;
    if (!heard || !text.startsWith(heard.text)) return ids;
    // New text is encoded together with the text before it: alone, its first word could begin with another token.
    const before = await encode(heard.text);
    if (before.some((id, i) => ids[i] !== id)) return ids;
    return [...heard.ids, ...ids.slice(before.length)];
  }
}

export function messagesOf(system: string, exchanges: readonly Exchange[]): ChatMessage[] {
  return [
    ...(system.trim() === "" ? [] : [{ role: "system", content: system }]),
    ...exchanges.flatMap(({ message, answer }) => [
      { role: "user", content: message },
      ...(answer === null ? [] : [{ role: "assistant", content: answer }]),
    ]),
  ];
}
