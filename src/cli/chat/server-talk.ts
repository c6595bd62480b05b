/** A conversation with a model that a server runs, by OpenAI's interface. */
import { writeFile } from "node:fs/promises";
import { SluiceError } from "../../errors.ts";
import type { CommandContext } from "../context.ts";
import type { LineSource } from "../streams.ts";
import { nextMessage } from "./messages.ts";
import { streamAnswer } from "./server-answer.ts";
import { isSlashCommand, runSlashCommand, type Talk } from "./slash-commands.ts";

/** What the command line says of a talk with a server. */
export interface ServerTalkStart {
  /** `http://127.0.0.1:8000`, with or without `/v1`. */
  readonly server: string;
  readonly system: string | undefined;
  /** Fields of every request, by OpenAI's names. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** Whether a user types, who can correct an error. */
  readonly isTerminal: boolean;
  /** The server's API key, if it needs one. */
  readonly key: string | undefined;
}

interface Message {
  readonly role: "user" | "assistant";
  readonly content: string;
}

export class ServerTalk implements Talk {
  readonly #start: ServerTalkStart;
  readonly #context: CommandContext;
  readonly #fields: Record<string, unknown>;
  #messages: Message[] = [];
  system: string | undefined;
  readonly stageIds: readonly string[] = [];
  #hasLeft = false;

  constructor(start: ServerTalkStart, context: CommandContext) {
    this.#start = start;
    this.#context = context;
    this.#fields = { ...start.fields };
    this.system = start.system;
  }

  /** Answers lines until the input ends or the user leaves. */
  async run(lines: LineSource): Promise<void> {
    while (!this.#hasLeft) {
      const event = await nextMessage(lines, { first: "> ", more: "… " });
      if (event.kind === "end") break;
      if (event.kind === "interrupt") {
        if (!event.gaveUp) break;
        continue;
      }
      if (event.text.trim() === "") continue;
      try {
        if (isSlashCommand(event.text)) await this.#command(event.text);
        else await this.#ask(event.text.replace(/^(\s*)\/\//, "$1/"));
      } catch (error) {
        if (!this.#start.isTerminal || !(error instanceof SluiceError) || error.code === "aborted") throw error;
        this.#context.note(error.message);
      }
    }
  }

  leave(): void {
    this.#hasLeft = true;
  }

  reset(): void {
    this.#messages = [];
  }

  setSystem(text: string | undefined): void {
    this.system = text;
  }

  async regenerate(): Promise<void> {
    if (this.#messages.at(-1)?.role === "assistant") this.#messages.pop();
    if (this.#messages.length === 0) throw new SluiceError("usage", "there is no message to answer again");
    await this.#answer();
  }

  async save(path: string): Promise<void> {
    const saved = { server: this.#start.server, date: new Date().toISOString(), messages: this.#conversation };
    try {
      await writeFile(path, `${JSON.stringify(saved, null, 2)}\n`, { flag: "wx" });
    } catch (cause) {
      throw new SluiceError("not_written", `${path} cannot be written: ${(cause as Error).message}`, { cause });
    }
  }

  setStrength(): never {
    throw atServer();
  }

  setAlpha(): never {
    throw atServer();
  }

  async addBundle(name: string): Promise<void> {
    const named = (this.#fields.interventions as readonly object[] | undefined) ?? [];
    this.#fields.interventions = [...named, { bundle: name }];
  }

  stageLines(): readonly string[] {
    const named = (this.#fields.interventions as readonly { readonly bundle: string }[] | undefined) ?? [];
    return named.map(({ bundle }) => `  ${bundle} (a bundle of the server)`);
  }

  setSampling(name: string, value: string): void {
    const number = Number(value);
    if (!Number.isFinite(number) || value.trim() === "") throw new SluiceError("usage", `/set ${name} takes a number`);
    this.#fields[name.replaceAll("-", "_")] = number;
  }

  samplingLines(): readonly string[] {
    return Object.entries(this.#fields).map(([name, value]) => `  ${name} ${JSON.stringify(value)}`);
  }

  get #conversation(): readonly object[] {
    const system = this.system === undefined ? [] : [{ role: "system", content: this.system }];
    return [...system, ...this.#messages];
  }

  async #command(line: string): Promise<void> {
    const said = await runSlashCommand(this, line);
    if (said !== undefined) this.#context.say(`${said}\n`);
  }

  async #ask(content: string): Promise<void> {
    this.#messages.push({ role: "user", content });
    try {
      await this.#answer();
    } catch (error) {
      this.#messages.pop();
      throw error;
    }
  }

  async #answer(): Promise<void> {
    const { stdout, signal, progress } = this.#context;
    const cut = new AbortController();
    const release = this.#start.isTerminal ? this.#context.divertInterrupts(() => cut.abort()) : () => undefined;
    const { server, key } = this.#start;
    const body = { ...this.#fields, messages: this.#conversation, stream: true };
    let content = "";
    try {
      const pieces = streamAnswer({ server, key, body, signal: AbortSignal.any([cut.signal, signal]) });
      let next = await progress.during("waiting for the server", pieces.next());
      while (!next.done) {
        content += next.value;
        stdout.write(next.value);
        next = await pieces.next();
      }
    } catch (error) {
      stdout.endLine();
      // If Ctrl-C ends an answer, the part that came stays in the conversation.
      if (!cut.signal.aborted || content === "") throw error;
    } finally {
      release();
    }
    stdout.write("\n");
    this.#messages.push({ role: "assistant", content });
  }
}

function atServer(): SluiceError {
  return new SluiceError("usage", "the model runs at the server: its stages cannot be changed from here", {
    hint: "/bundle NAME applies a bundle that the server has.",
  });
}
