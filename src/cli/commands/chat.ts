/** `sluice chat` */

import { SluiceError } from "../../errors.ts";
import { AnswerSettings, DEFAULT_ANSWER_TOKENS } from "../chat/answer-settings.ts";
import { Conversation } from "../chat/conversation.ts";
import { pipedLines } from "../chat/line-source.ts";
import { ServerTalk } from "../chat/server-talk.ts";
import { completerFor } from "../chat/slash-commands.ts";
import { RunningTalk } from "../chat/talk.ts";
import { defineCommand } from "../command.ts";
import type { Positional } from "../command-shape.ts";
import type { CommandContext } from "../context.ts";
import { defined } from "../defined.ts";
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
  positionals: { model: { ...modelArgument, required: false } as Positional<string | undefined> },
  options: {
    server: optional("URL", "Talk with the model of a server with OpenAI's interface, such as `sluice serve`", name),
    apiKeyFile: input(optional("FILE", "The server's API key, on the first line of this file", name)),
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
  check({ model, server, with: bundles }) {
    if ((model === undefined) === (server === undefined)) {
      throw new SluiceError("usage", "chat takes a model, or --server URL: one of the two");
    }
    if (server !== undefined && !/^https?:\/\//.test(server)) {
      throw new SluiceError("usage", `--server takes an http address, not "${server.slice(0, 60)}"`);
    }
    if (server !== undefined && bundles.length > 0) {
      throw new SluiceError("usage", "--with needs a model that runs here", {
        hint: "/bundle NAME applies a bundle of the server.",
      });
    }
  },
  async run({ model, server, apiKeyFile, ...given }, context) {
    if (server !== undefined || model === undefined) {
      await talkToServer(server ?? "", apiKeyFile, given, context);
      return;
    }
    const values = { ...given, model };
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

/** What of the command line a server is told. */
interface ServerChoice {
  readonly system: string | undefined;
  readonly temperature: number | undefined;
  readonly topK: number | undefined;
  readonly topP: number | undefined;
  readonly minP: number | undefined;
  readonly repetitionPenalty: number | undefined;
  readonly seed: number | undefined;
  readonly stop: readonly string[];
  readonly maxNewTokens: number | undefined;
}

async function talkToServer(
  server: string,
  keyFile: string | undefined,
  choice: ServerChoice,
  context: CommandContext,
): Promise<void> {
  const { system, temperature, topK, topP, minP, repetitionPenalty, seed, stop, maxNewTokens } = choice;
  const fields = {
    ...defined({ temperature, top_k: topK, top_p: topP, min_p: minP, repetition_penalty: repetitionPenalty, seed }),
    ...defined({ max_tokens: maxNewTokens }),
    ...(stop.length > 0 && { stop }),
  };
  const key = keyFile === undefined ? undefined : (await readTextFile(keyFile, context.signal)).split("\n")[0]?.trim();
  const editor = context.openEditor(completerFor(() => []));
  const lines = editor ?? pipedLines(context.stdin, context.signal);
  try {
    if (editor) context.say("Type a message; /help lists what else can be typed, Ctrl-D ends.\n");
    await new ServerTalk({ server, system, fields, key, isTerminal: editor !== null }, context).run(lines);
  } finally {
    lines.close();
  }
}
