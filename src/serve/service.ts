/** What the routes share: the model by its name, its engine, its conversations. */
import type { Tokenizer } from "../index.ts";
import { encodePrompt } from "../model/request.ts";
import { checkVocabulary } from "../runtime/sequences.ts";
import { encodeWithin } from "../tokenizer/encode-within.ts";
import { tokenAfterAnswer } from "../tokenizer/end-of-turn.ts";
import type { Engine } from "./engine.ts";
import type { Limits } from "./limits.ts";
import type { Metrics } from "./metrics.ts";
import { Problem, problemOf } from "./problem.ts";
import { type ToolForm, toolFormOf } from "./tool-forms.ts";

export class Service {
  readonly engine: Engine;
  readonly metrics: Metrics;
  readonly limits: Limits;
  /** The model's name; a request may name it in full, or leave it out. */
  readonly name: string;
  readonly #fullName: string;
  readonly created = Math.floor(Date.now() / 1000);
  #endOfTurn: readonly number[] | undefined;
  #toolForm: ToolForm | null | undefined;

  /** @param fullName as the server was started with: a folder, an address, a hub's name */
  constructor(engine: Engine, metrics: Metrics, limits: Limits, fullName: string) {
    this.engine = engine;
    this.metrics = metrics;
    this.limits = limits;
    this.#fullName = fullName;
    this.name =
      fullName
        .replace(/[/\\]+$/, "")
        .replace(/^.*[/\\]/, "")
        .replace(/\.gguf$/i, "") || fullName;
  }

  /** @returns the name for the answer. @throws Problem 404 for another model's */
  checkModel(wanted: string | undefined): string {
    if (wanted === undefined || wanted === this.name || wanted === this.#fullName) return wanted ?? this.name;
    throw new Problem(404, `There is no model "${wanted.slice(0, 128)}"; this server runs ${this.name}`, {
      code: "model_not_found",
      param: "model",
    });
  }

  /** @param what the choices are, for the error. @throws Problem 400 for more than a request may have here */
  checkChoices(count: number, what: string, param: string): void {
    const most = Math.min(this.limits.choices, this.engine.mostChoices);
    if (count > most) throw new Problem(400, `${what} are more than ${most}, which is the most here`, { param });
  }

  /** @throws Problem 400 without one */
  get tokenizer(): Tokenizer {
    const { tokenizer, tokenizerError } = this.engine.model;
    if (tokenizer) return tokenizer;
    throw new Problem(400, tokenizerError?.message ?? "This model has no tokenizer: send token ids as the prompt", {
      code: "no_tokenizer",
    });
  }

  /**
   * Ids of a text that has its special tokens.
   * @param what names the text, and `param` its field, in errors
   * @throws Problem 400 for more tokens than the context holds, in little time however long the text is
   */
  encode(text: string, what: string, param: string): readonly number[] {
    const { context } = this.engine;
    const tokens = encodeWithin(this.tokenizer, text, context, { addSpecialTokens: false });
    if (tokens && tokens.length <= context) return tokens;
    throw tooLong(what, tokens ? `${tokens.length}` : `more than ${context}`, context, param);
  }

  /**
   * Ids of a prompt to be continued: of a text with the special tokens that the tokenizer adds; ids as they are.
   * @throws Problem 400 for an empty prompt, ids outside the vocabulary, more tokens than the context holds
   */
  promptTokens(prompt: string | readonly number[]): readonly number[] {
    const { context, model } = this.engine;
    try {
      const tokens = encodePrompt(model.internals, prompt, context);
      checkVocabulary(tokens, model.config.vocab_size);
      if (tokens.length <= context) return tokens;
      throw tooLong("The prompt", `${tokens.length}`, context, "prompt");
    } catch (error) {
      const { status, message, code } = problemOf(error);
      throw new Problem(status, message, { code, param: "prompt" });
    }
  }

  /** Ids that end an answer in a conversation. */
  get endOfTurn(): readonly number[] {
    const { tokenizer } = this;
    this.#endOfTurn ??= [tokenizer.eosTokenId, tokenAfterAnswer(tokenizer)].filter((id) => id !== undefined);
    return this.#endOfTurn;
  }

  /** How the model writes tool calls; null if its chat template knows none. */
  get toolForm(): ToolForm | null {
    this.#toolForm ??= toolFormOf(this.tokenizer);
    return this.#toolForm;
  }

  /** Whether a token ends texts, so that it is no part of one. */
  isStopToken(token: number): boolean {
    const { config, tokenizer } = this.engine.model;
    return config.eos_token_ids.includes(token) || (tokenizer?.specialTokens?.has(token) ?? false);
  }
}

function tooLong(what: string, count: string, context: number, param: string): Problem {
  return new Problem(400, `${what} has ${count} tokens and the context holds ${context}`, {
    code: "context_length_exceeded",
    param,
  });
}
