/**
 * Records a conversation with an edited model: what a user would type, key by key, and what appears on the terminal.
 *
 *   npx tsx scripts/record-chat.ts [--seed N]
 *
 * Fits the bundle (plays against tales, one layer), then writes docs/chat.cast (asciicast 2, for asciinema's player) and
 * docs/plots/chat.svg, the last screen. Nothing is edited but waits, which are cut to a second.
 */
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { parseArgs } from "node:util";
import { LineEditor } from "../src/cli/chat/line-editor.ts";
import { main } from "../src/cli/main.ts";
import type { OutputStream } from "../src/cli/output.ts";
import { Screen } from "./terminal/screen.ts";
import { screenSvg } from "./terminal/screen-svg.ts";

const COLUMNS = 96;
const KEY_MS = 45;
const MOST_WAIT_S = 1;

const { values } = parseArgs({ options: { seed: { type: "string", default: "4" } } });
const model = "weights/gpt2-stories";
const folder = await mkdtemp(join(tmpdir(), "record-chat-"));
const bundle = "plays.safetensors";

/** What is typed at each prompt. */
const LINES = [
  "Once upon a time there was a king",
  `/bundle ${bundle}`,
  "/regenerate",
  "/strength 0.5",
  "/regenerate",
  "/strength 0",
  "/regenerate",
  "/exit",
];

const events: { readonly at: number; readonly text: string }[] = [];
const started = performance.now();
function show(text: string): void {
  events.push({ at: (performance.now() - started) / 1000, text });
}

const repository = process.cwd();
try {
  // What is typed are names without paths, as in a folder of one's own.
  await Promise.all(["weights", "test"].map((name) => symlink(join(repository, name), join(folder, name))));
  process.chdir(folder);
  await fitBundle();
  const template = "story.jinja";
  await writeFile(
    template,
    "{% for m in messages %}{{ m.content if m.role == 'assistant' or loop.first else ' ' ~ m.content }}{% endfor %}",
  );
  const line = [
    "chat",
    model,
    "--template",
    template,
    "--max-new-tokens",
    "48",
    "--temperature",
    "0.7",
    "--top-k",
    "20",
    "--seed",
    values.seed,
  ];
  show(`$ npx sluice chat ${model} --template story.jinja --max-new-tokens 48 --temperature 0.7 --top-k 20\n`);
  const code = await main(line, { stdout: screenOutput(), stderr: screenOutput(), openEditor: typingEditor });
  if (code !== 0) throw new Error(`sluice chat ended with ${code}`);
  process.chdir(repository);
  await write();
} finally {
  process.chdir(repository);
  await rm(folder, { recursive: true });
}

async function fitBundle(): Promise<void> {
  const texts = ["--positive", "test/data/plays.jsonl", "--negative", "test/data/tales.jsonl", "--max-tokens", "24"];
  const code = await main(["fit", "ace", model, ...texts, "--layers", "2", "--out", bundle]);
  if (code !== 0) throw new Error(`sluice fit ace ended with ${code}`);
}

/** A stream whose text appears on the recorded terminal. */
function screenOutput(): OutputStream {
  return {
    isTTY: true,
    columns: COLUMNS,
    write(text, done) {
      show(text);
      queueMicrotask(() => done());
      return true;
    },
    on: () => undefined,
    off: () => undefined,
  };
}

/** The real editor, on a keyboard that types the lines by itself. */
function typingEditor(completer: ConstructorParameters<typeof LineEditor>[2]): LineEditor {
  const keyboard = new PassThrough();
  const terminal = Object.assign(new PassThrough(), { columns: COLUMNS, rows: 40 });
  terminal.on("data", (chunk: Buffer) => show(chunk.toString("utf8")));
  const rest = [...LINES];
  const editor = new LineEditor(keyboard, terminal, completer);
  const next = editor.next.bind(editor);
  editor.next = (prompt) => {
    const event = next(prompt);
    void type(`${rest.shift() ?? "/exit"}\r`);
    return event;
  };
  return editor;

  async function type(keys: string): Promise<void> {
    for (const key of keys) {
      await new Promise((resolve) => setTimeout(resolve, KEY_MS));
      keyboard.write(key);
    }
  }
}

async function write(): Promise<void> {
  let clock = 0;
  let before = events[0]?.at ?? 0;
  const screen = new Screen(COLUMNS);
  const rows = events.map(({ at, text }) => {
    clock += Math.min(at - before, MOST_WAIT_S);
    before = at;
    screen.write(text);
    return JSON.stringify([Number(clock.toFixed(3)), "o", text.replaceAll(/\r?\n/g, "\r\n")]);
  });
  const title = "sluice chat";
  const header = { version: 2, width: COLUMNS, height: 40, title, timestamp: Math.floor(Date.now() / 1000) };
  await writeFile("docs/chat.cast", `${[JSON.stringify(header), ...rows].join("\n")}\n`);
  const isTyped = (line: string): boolean => /^[>$] /.test(line);
  await writeFile("docs/plots/chat.svg", screenSvg(screen.lines, COLUMNS, title, isTyped));
}
