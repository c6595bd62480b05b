/** `sluice chat` */
import { SluiceError } from "../../errors.ts";
import type { ChatMessage, Tokenizer } from "../../index.ts";
import { defineCommand } from "../command.ts";
import { defined } from "../defined.ts";
import { readLines } from "../input.ts";
import { optional, text, wholeNumber, withDefault } from "../options.ts";
import { editedOptions, modelArgument, tuneOptions, withEditedModel } from "./model.ts";
import { printStream } from "./print-stream.ts";
import { samplingFrom, samplingOptions } from "./sampling.ts";

export const chat = defineCommand({
  name: "chat",
  summary: "Talk with a model that has a chat template",
  description: [
    "Reads a message a line and streams the answers, until the input ends (Ctrl-D). The model's chat template lays the " +
      "conversation out; what was said stays in the cache and is not computed again.",
  ],
  positionals: { model: modelArgument },
  options: {
    system: optional("TEXT", "A system message before the conversation", text),
    maxNewTokens: withDefault("N", "Longest answer in tokens", wholeNumber(1), 512),
    ...samplingOptions,
    ...editedOptions,
    ...tuneOptions,
  },
  examples: [{ line: 'chat path/to/model --system "Answer in one sentence."', shows: "Ask and be answered:" }],
  async run(values, context) {
    const sampling = samplingFrom(values, context);
    await withEditedModel({ ...values, promptLength: undefined, long: true }, context, async (model) => {
      const conversation = new Conversation(model.tokenizer, values.system);
      const session = await model.session({ ...defined({ context: values.context }), sequences: 1 });
      let waiting = false;
      const invite = (): void => {
        waiting = true;
        context.invite("> ");
      };
      try {
        const options = {
          ...sampling,
          maxNewTokens: values.maxNewTokens,
          // Ids alone would be stopped by generation_config.json only, and many folders have none.
          // A tokenizer may know ids that the model has no row for, and never says.
          stopTokens: [
            ...values.stopToken,
            ...model.config.eos_token_ids,
            ...conversation.endOfTurn.filter((id) => id < model.config.vocab_size),
          ],
        };
        for await (const line of readLines(context.stdin, context.signal, invite)) {
          waiting = false;
          if (line.trim() === "") continue;
          let answer = "";
          await printStream(session.generate(conversation.ask(line), options), context, ({ text: piece }) => {
            answer += piece ?? "";
            return piece ?? "";
          });
          conversation.answered(answer);
        }
      } finally {
        // Ctrl-D and Ctrl-C leave the cursor behind the sign.
        if (waiting) context.invite("\n");
        session.dispose();
      }
    });
  },
});

/** What has been said, laid out by the model's own template. */
class Conversation {
  readonly #tokenizer: Tokenizer;
  readonly #messages: ChatMessage[];

  /** A model that cannot be talked with is refused here, before anyone types a line. */
  constructor(tokenizer: Tokenizer | null, system: string | undefined) {
    if (!tokenizer) {
      throw new SluiceError("bad_tokens", "This model's folder holds no tokenizer, so it cannot be talked with", {
        hint: "Add tokenizer.json and tokenizer_config.json, or use `sluice generate --tokens`.",
      });
    }
    this.#tokenizer = tokenizer;
    this.#messages = system === undefined ? [] : [{ role: "system", content: system }];
    this.#layOut([...this.#messages, { role: "user", content: "?" }]);
  }

  /** Ids that end an answer. */
  get endOfTurn(): readonly number[] {
    const { eosTokenId } = this.#tokenizer;
    return eosTokenId === undefined ? [] : [eosTokenId];
  }

  /** Adds a message. @returns the ids of the whole conversation, up to where the answer begins */
  ask(message: string): readonly number[] {
    this.#messages.push({ role: "user", content: message });
    // The template has put BOS and the like into the text already.
    return this.#tokenizer.encode(this.#layOut(this.#messages), { addSpecialTokens: false });
  }

  answered(message: string): void {
    this.#messages.push({ role: "assistant", content: message });
  }

  #layOut(messages: readonly ChatMessage[]): string {
    return this.#tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true });
  }
}
