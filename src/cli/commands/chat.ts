/** `sluice chat` */
import { AnswerSettings, DEFAULT_ANSWER_TOKENS } from "../chat/answer-settings.ts";
import { Conversation } from "../chat/conversation.ts";
import { pipedLines } from "../chat/line-source.ts";
import { completerFor } from "../chat/slash-commands.ts";
import { RunningTalk } from "../chat/talk.ts";
import { defineCommand } from "../command.ts";
import { readTextFile } from "../documents.ts";
import { decimal, input, name, optional, text, wholeNumber } from "../options.ts";
import { interventionsFrom } from "./interventions.ts";
import { digestsOf, editedOptions, loadBundles, modelArgument, tuneOptions, withModel } from "./model.ts";
import { samplingOptions } from "./sampling.ts";

// A full context drops the oldest turns.
const { overflow: _, ...drawOptions } = samplingOptions;

export const chat = defineCommand({
  name: "chat",
  summary: "Talk with a model that has a chat template",
  description: [
    "Reads messages and streams the answers, until the input ends (Ctrl-D). The model's chat template lays the " +
      "conversation out; what was said stays in the cache and is not computed again. When the context is full, the oldest " +
      "turns are left out, never the system message.",
    "Lines that begin with a slash are commands: /help lists them. Bundles can be added and their strengths changed while " +
      'you talk. A line that ends in \\ continues in the next; """ begins and ends a message of several lines. Ctrl-C ends an ' +
      "answer.",
  ],
  positionals: { model: modelArgument },
  options: {
    system: optional("TEXT", "A system message before the conversation", text),
    template: input(optional("FILE", "A Jinja chat template instead of the model's own", name)),
    maxNewTokens: optional(
      "N",
      `Longest answer in tokens (default: as generation_config.json says, else ${DEFAULT_ANSWER_TOKENS})`,
      wholeNumber(1),
    ),
    ...drawOptions,
    temperature: optional(
      "T",
      "0 takes the likeliest token; 1 draws as the model predicts (default: as generation_config.json says, else 0)",
      decimal({ min: 0 }),
    ),
    ...editedOptions,
    ...tuneOptions,
  },
  examples: [
    { line: 'chat path/to/model --system "Answer in one sentence."', shows: "Ask and be answered:" },
    { line: "chat path/to/model --with calm.safetensors", shows: "Talk with an edited model; /strength changes it:" },
  ],
  async run(values, context) {
    const choice = { ...values, promptLength: undefined };
    const { strengths, params, positions } = interventionsFrom(choice);
    const bundles = await loadBundles(choice, context);
    const template = values.template === undefined ? undefined : await readTextFile(values.template, context.signal);
    const digests = await digestsOf(values, bundles, context);
    await withModel({ ...values, long: true }, context, async (plain) => {
      if (plain.tokenizerError) throw plain.tokenizerError;
      const conversation = new Conversation(plain.tokenizer, values.system, template);
      const sampling = new AnswerSettings(values, plain.generationDefaults, context);
      const editor = context.openEditor(completerFor(() => talk.stageIds));
      const settings = { strengths, params, positions, digests };
      const talk = await RunningTalk.open(
        {
          weights: values,
          plain,
          bundles,
          settings,
          conversation,
          sampling,
          context: values.context,
          isTerminal: editor !== null,
        },
        context,
      );
      const lines = editor ?? pipedLines(context.stdin, context.signal);
      try {
        if (editor) context.say("Type a message; /help lists what else can be typed, Ctrl-D ends.\n");
        await talk.run(lines);
      } finally {
        lines.close();
        talk.close();
      }
    });
  },
});
