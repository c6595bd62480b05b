/** What a bundle's checks run: three short prompts that every stage acts on, the same whenever they are asked for. */
import { SluiceError } from "../errors.ts";
import type { Manifest } from "../interventions/manifest.ts";
import { missesAll, type Positions, resolvePositions, tokensIn } from "../interventions/positions.ts";
import type { ModelConfig } from "../model-config.ts";
import type { ChatMessage, Tokenizer } from "../tokenizer/tokenizer.ts";

/** Tokens, of which the first `promptLength` count as the prompt. */
export interface CheckPrompt {
  readonly tokens: readonly number[];
  readonly promptLength: number;
}

const TEXTS = ["The capital of France is", "Once upon a time, there was a little", "1 2 3 4 5 6 7 8"] as const;
const CONVERSATION: readonly ChatMessage[] = [{ role: "user", content: "Name a color." }];

/** Tokens of a text that are run at most, and of a conversation, whose template may bring a long system prompt. */
const MOST_TOKENS = 24;
const MOST_CHAT_TOKENS = 160;

/** Tokens after the prompt, for stages that act on what is generated. */
const GENERATED = 2;

/** Ids of tokens that stages act on, which a prompt is given if it lacks them. */
const MOST_LISTED = 8;

/** The length up to which a prompt is repeated until stages for late positions act. */
const MOST_REPEATED = 256;

/**
 * The first prompt is all prompt, and the last two go on after it. The last is a conversation if the bundle was fitted on
 * some (`fit.chat`), and has the tokens that stages list.
 * @param tokenizer null: ids spread over the vocabulary
 */
export function checkPrompts(
  config: Pick<ModelConfig, "vocab_size" | "max_position_embeddings">,
  tokenizer: Tokenizer | null,
  { stages, fit }: Manifest,
): readonly CheckPrompt[] {
  const positions = stages.flatMap((stage) => ("positions" in stage && stage.positions ? [stage.positions] : []));
  const isChat = fit?.chat !== undefined && fit.chat !== false && fit.chat !== null;
  const most = config.max_position_embeddings;
  return TEXTS.map((text, index) => {
    const isLast = index === TEXTS.length - 1;
    const chat = isLast && isChat && tokenizer ? conversationOf(tokenizer) : null;
    const own = chat ?? (tokenizer && textOf(tokenizer, text)) ?? spread(config.vocab_size, index);
    const tokens = isLast ? reached(withListed(own, positions), positions, most) : own;
    return promptOf(tokens.slice(0, most), index > 0);
  });
}

function promptOf(tokens: readonly number[], goesOn: boolean): CheckPrompt {
  return { tokens, promptLength: goesOn ? Math.max(1, tokens.length - GENERATED) : tokens.length };
}

/** Null for a tokenizer that has no tokens for the text. */
function textOf(tokenizer: Tokenizer, text: string): readonly number[] | null {
  return encoded(() => tokenizer.encode(text), MOST_TOKENS);
}

/** Null for a tokenizer without a template, or with one that refuses a plain question. */
function conversationOf(tokenizer: Tokenizer): readonly number[] | null {
  return encoded(() => {
    const text = tokenizer.applyChatTemplate(CONVERSATION, { addGenerationPrompt: true, now: () => new Date(0) });
    return tokenizer.encode(text, { addSpecialTokens: false });
  }, MOST_CHAT_TOKENS);
}

function encoded(encode: () => readonly number[], most: number): readonly number[] | null {
  try {
    const tokens = encode().slice(0, most);
    return tokens.length > GENERATED ? tokens : null;
  } catch (error) {
    if (error instanceof SluiceError) return null;
    throw error;
  }
}

function spread(vocabulary: number, index: number): readonly number[] {
  return Array.from(
    { length: 6 + index },
    (_, i) => Math.floor(((7 * i + 3 * index + 1) * vocabulary) / 61) % vocabulary,
  );
}

/** With the tokens that stages act on, after the first. */
function withListed([first = 0, ...rest]: readonly number[], positions: readonly Positions[]): readonly number[] {
  const known = new Set([first, ...rest]);
  const listed = [...new Set(positions.flatMap((each) => [...tokensIn(each)]))].filter((id) => !known.has(id));
  return [first, ...listed.slice(0, MOST_LISTED), ...rest];
}

/** Repeated until no stage's positions lie beyond its end. */
function reached(tokens: readonly number[], positions: readonly Positions[], context: number): readonly number[] {
  const most = Math.min(context, MOST_REPEATED);
  const misses = (length: number): boolean =>
    positions.some((each) => missesAll(resolvePositions(each, Math.max(1, length - GENERATED)), length));
  let length = Math.min(tokens.length, most);
  while (length < most && misses(length)) length = Math.min(2 * length, most);
  const chosen = misses(length) ? tokens.length : length;
  return Array.from({ length: chosen }, (_, i) => tokens[i % tokens.length] as number);
}
