/** The line editor, on streams that replace a terminal. */

import { PassThrough } from "node:stream";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { LineEditor } from "../../src/cli/chat/line-editor.ts";
import { completerFor } from "../../src/cli/chat/slash-commands.ts";
import type { LineEvent } from "../../src/cli/streams.ts";

const UP = "\u001b[A";
const LEFT = "\u001b[D";
const CTRL_C = "\u0003";
const CTRL_D = "\u0004";

function terminal() {
  const modes: boolean[] = [];
  const stdin = Object.assign(new PassThrough(), { setRawMode: (raw: boolean) => modes.push(raw) });
  const stdout = new PassThrough();
  stdout.resume();
  const editor = new LineEditor(
    stdin,
    stdout,
    completerFor(() => ["calm", "cold"]),
  );
  /** Presses keys, each of its own, while the editor waits for a line. */
  const type = async (...keys: readonly string[]): Promise<LineEvent> => {
    const event = editor.next("> ");
    for (const key of keys) {
      stdin.write(key);
      await new Promise((resolve) => setImmediate(resolve));
    }
    return event;
  };
  return { editor, stdin, type, modes };
}

const line = (text: string): LineEvent => ({ kind: "line", text });

test("lines can be edited, repeated and given up", async () => {
  const { editor, type, modes } = terminal();
  assert.equal(await type("helo", LEFT, "l", "\r"), line("hello"));
  assert.equal(await type(UP, "!", "\r"), line("hello!"));
  assert.equal(await type("half a line", CTRL_C), { kind: "interrupt", gaveUp: true });
  assert.equal(await type("whole\r"), line("whole"), "what was given up does not come back");
  assert.equal(await type(CTRL_C), { kind: "interrupt", gaveUp: false });
  // Between lines the terminal is in its ordinary mode, where Ctrl-C is a signal.
  assert.equal(modes.at(-1), false);
  assert.equal(await type(CTRL_D), { kind: "end" });
  assert.equal(await editor.next("> "), { kind: "end" });
  editor.close();
});

test("a pasted text of several lines is one message, and lines typed ahead wait", async () => {
  const { editor, type } = terminal();
  assert.equal(await type("\u001b[200~one\ntwo\nthree\u001b[201~ and more\r"), line("one\ntwo\nthree and more"));
  assert.equal(await type("first\rsecond\r"), line("first"));
  assert.equal(await editor.next("> "), line("second"));
  editor.close();
});

test("tab completes commands and the ids of stages", async () => {
  const { editor, type } = terminal();
  assert.equal(await type("/rege", "\t", "\r"), line("/regenerate "));
  assert.equal(await type("/strength ca", "\t", "0.5", "\r"), line("/strength calm 0.5"));
  editor.close();
});

test.run();
