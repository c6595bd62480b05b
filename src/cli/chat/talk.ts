/** A running conversation: reads lines, streams answers, and applies slash commands in between. */

import { SluiceError } from "../../errors.ts";
import type { ComposedBundle, ComposeSettings, Stage } from "../../index.ts";
import { stageName } from "../../interventions/kinds/kinds.ts";
import { parseBundleChoice, reportInterventions } from "../commands/interventions.ts";
import { digestsOf, type WeightsChoice } from "../commands/model.ts";
import { printStream } from "../commands/print-stream.ts";
import type { CommandContext, LoadedModel, OpenSession } from "../context.ts";
import { prepareOutFile } from "../out-file.ts";
import type { LineSource } from "../streams.ts";
import type { AnswerSettings } from "./answer-settings.ts";
import type { Conversation } from "./conversation.ts";
import { nextMessage } from "./messages.ts";
import { isSlashCommand, runSlashCommand, type Talk } from "./slash-commands.ts";

const PROMPTS = { first: "> ", more: "… " };

/** Errors of one message, after which the conversation continues. */
const PASSING: ReadonlySet<string> = new Set([
  "usage",
  "context_overflow",
  "bad_tokens",
  "bad_bundle",
  "bad_file",
  "not_found",
  "not_written",
  "non_finite",
]);

/** The initial state of a conversation. */
export interface TalkStart {
  /** The model and its adapters, as named on the command line. */
  readonly weights: WeightsChoice;
  /** The model without interventions. */
  readonly plain: LoadedModel;
  readonly bundles: readonly ComposedBundle[];
  readonly settings: ComposeSettings;
  readonly conversation: Conversation;
  readonly sampling: AnswerSettings;
  readonly context: number | undefined;
  readonly isTerminal: boolean;
}

export class RunningTalk implements Talk {
  readonly #start: TalkStart;
  readonly #context: CommandContext;
  readonly #conversation: Conversation;
  readonly #sampling: AnswerSettings;
  /** Whether a user types, who can correct an error; a script cannot. */
  readonly #isTerminal: boolean;
  #bundles: readonly ComposedBundle[];
  #model: LoadedModel;
  #session: OpenSession;
  /** Values set during the conversation, which a later bundle must not undo. */
  readonly #strengths: Map<string, number>;
  readonly #params: Map<string, { readonly alpha: number }>;
  readonly #saved = new Set<string>();
  #attempt = 0;
  #hasLeft = false;

  private constructor(start: TalkStart, context: CommandContext, model: LoadedModel, session: OpenSession) {
    this.#start = start;
    this.#context = context;
    this.#conversation = start.conversation;
    this.#sampling = start.sampling;
    this.#isTerminal = start.isTerminal;
    this.#bundles = start.bundles;
    this.#strengths = new Map(start.settings.strengths);
    this.#params = new Map(start.settings.params);
    this.#model = model;
    this.#session = session;
  }

  static async open(start: TalkStart, context: CommandContext): Promise<RunningTalk> {
    const model = start.bundles.length > 0 ? start.plain.with(start.bundles, start.settings) : start.plain;
    return new RunningTalk(start, context, model, await openSession(model, start.context));
  }

  close(): void {
    this.#session.dispose();
  }

  /** Answers lines until the input ends or the user leaves. */
  async run(lines: LineSource): Promise<void> {
    let askedToLeave = false;
    while (!this.#hasLeft) {
      const event = await nextMessage(lines, PROMPTS);
      if (event.kind === "end") break;
      if (event.kind === "interrupt") {
        if (askedToLeave && !event.gaveUp) break;
        askedToLeave = !event.gaveUp;
        if (event.gaveUp) continue;
        this.#context.note("Ctrl-C again, Ctrl-D or /exit ends the conversation");
        continue;
      }
      askedToLeave = false;
      if (event.text.trim() === "") continue;
      try {
        if (isSlashCommand(event.text)) await this.#command(event.text);
        else await this.#ask(event.text.replace(/^(\s*)\/\//, "$1/"));
      } catch (error) {
        if (!this.#isTerminal || !(error instanceof SluiceError) || !PASSING.has(error.code)) throw error;
        this.#context.note(error.message);
      }
    }
  }

  leave(): void {
    this.#hasLeft = true;
  }

  reset(): void {
    this.#conversation.reset();
  }

  get system(): string | undefined {
    return this.#conversation.system;
  }

  setSystem(text: string | undefined): void {
    this.#conversation.setSystem(text);
  }

  async regenerate(): Promise<void> {
    if (!this.#conversation.reopen()) throw new SluiceError("usage", "there is no message to answer again");
    this.#attempt++;
    if (this.#sampling.isGreedy) {
      this.#context.note("at temperature 0 the answer is the same again: /set temperature 0.8 draws another");
    }
    await this.#answer();
  }

  async save(path: string): Promise<void> {
    const file = await prepareOutFile(path, { mustBeNew: !this.#saved.has(path) });
    const { model, lora = [] } = this.#start.weights;
    const saved = {
      model,
      ...(lora.length > 0 && { lora }),
      date: new Date().toISOString(),
      sampling: this.#sampling.report(),
      ...reportInterventions(this.#bundles, this.#stages()),
      messages: this.#conversation.messages,
    };
    await file.write(new TextEncoder().encode(`${JSON.stringify(saved, null, 2)}\n`));
    this.#saved.add(path);
  }

  setStrength(id: string, value: number): void {
    this.#session.set(id, { strength: value });
    this.#strengths.set(id, value);
  }

  setAlpha(id: string, value: number): void {
    this.#session.set(id, { alpha: value });
    this.#params.set(id, { alpha: value });
  }

  async addBundle(choice: string): Promise<void> {
    const { path, prefix } = parseBundleChoice(choice, "/bundle");
    const { library, signal } = this.#context;
    const bundle = await library.loadBundle(path, { signal });
    const bundles = [...this.#bundles, { bundle, ...(prefix !== null && { prefix }) }];
    const digests = await digestsOf(this.#start.weights, bundles, this.#context);
    const settings = { ...this.#start.settings, strengths: this.#strengths, params: this.#params, digests };
    const model = this.#start.plain.with(bundles, settings);
    // The conversation stays; the new session's cache is computed with the next answer.
    const session = await openSession(model, this.#start.context);
    this.#session.dispose();
    this.#session = session;
    this.#model = model;
    this.#bundles = bundles;
  }

  get stageIds(): readonly string[] {
    return this.#model.stages.map(({ id }) => id);
  }

  stageLines(): readonly string[] {
    return this.#stages().map((stage) => {
      const alpha = "alpha" in stage ? `, alpha ${stage.alpha}` : "";
      return `  ${stage.id} (${stageName(stage)}): strength ${stage.strength}${alpha}`;
    });
  }

  setSampling(name: string, value: string): void {
    this.#sampling.set(name, value);
  }

  samplingLines(): readonly string[] {
    return Object.entries(this.#sampling.report()).map(([name, value]) => `  ${name} ${value}`);
  }

  /** The stages with their current values. */
  #stages(): readonly Stage[] {
    return this.#model.stages.map((stage) => {
      const { strength, alpha } = this.#session.stage(stage.id);
      return "alpha" in stage ? { ...stage, strength, alpha } : { ...stage, strength };
    });
  }

  async #command(line: string): Promise<void> {
    const said = await runSlashCommand(this, line);
    if (said !== undefined) this.#context.say(`${said}\n`);
  }

  async #ask(message: string): Promise<void> {
    this.#conversation.ask(message);
    this.#attempt = 0;
    await this.#answer();
  }

  async #answer(): Promise<void> {
    const cut = new AbortController();
    const release = this.#isTerminal ? this.#context.divertInterrupts(() => cut.abort()) : () => undefined;
    let answer = "";
    const said: number[] = [];
    try {
      const ends = new Set([...this.#sampling.stopTokens, ...this.#endTokens()]);
      const generation = this.#session.generate(this.#layOut(), {
        ...this.#sampling.options(this.#attempt),
        stopTokens: [...ends],
        signal: AbortSignal.any([cut.signal, this.#context.signal]),
      });
      await printStream(generation, this.#context, ({ token, text }) => {
        answer += text ?? "";
        if (!ends.has(token)) said.push(token);
        return text ?? "";
      });
    } catch (error) {
      if (!cut.signal.aborted || answer === "") this.#conversation.withdraw();
      if (!cut.signal.aborted) throw error;
      if (answer === "") return this.#context.note("stopped before the answer began: the message is removed");
    } finally {
      release();
    }
    // If Ctrl-C ends an answer, the part that was generated stays in the conversation.
    this.#conversation.answered(answer, said);
  }

  #layOut(): readonly number[] {
    const { context } = this.#session;
    // Up to a quarter of the context is kept free for an answer.
    const room = Math.min(this.#sampling.maxNewTokens, Math.floor(context / 4));
    const { tokens, dropped } = this.#conversation.layOut(context, room);
    if (dropped > 0) {
      const { forgotten } = this.#conversation;
      const turns = forgotten === 1 ? "the first turn" : `the first ${forgotten} turns`;
      this.#context.note(`the context of ${context} tokens is full: the model no longer sees ${turns}`);
    }
    return tokens;
  }

  /** The ids that end an answer. Those of generation_config.json are not enough: many folders have none. */
  #endTokens(): readonly number[] {
    const { eos_token_ids, vocab_size } = this.#model.config;
    // A tokenizer may know ids that the model has no row for; the model never generates these.
    return [...eos_token_ids, ...this.#conversation.endOfTurn.filter((id) => id < vocab_size)];
  }
}

function openSession(model: LoadedModel, context: number | undefined): Promise<OpenSession> {
  return model.session({ ...(context !== undefined && { context }), sequences: 1 });
}
