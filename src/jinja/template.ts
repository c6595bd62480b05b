/**
 * Jinja templates, as jinja2 3.1 renders them in the environment that transformers sets up for chat templates: the
 * immutable sandbox, `trim_blocks`, `lstrip_blocks`, loop controls, `{% generation %}`, `raise_exception`,
 * `strftime_now` and its own `tojson`. Time and memory are bounded, and templates have no access to the host.
 */
import { Context } from "./activation.ts";
import { compile, type Render } from "./compile.ts";
import { syntaxError, TemplateError } from "./errors.ts";
import { GLOBALS } from "./globals.ts";
import { HostValues } from "./host.ts";
import { parse } from "./parse.ts";
import { limit, Run } from "./run.ts";
import type { Value } from "./values.ts";

export { TemplateError } from "./errors.ts";
export { NotData } from "./host.ts";

/** Longest source of a template, in UTF-16 units: published ones have at most 30,000. */
const LONGEST_SOURCE = 500_000;

export interface RenderOptions {
  /** The clock of `strftime_now`. Default: the current time. */
  readonly now?: (() => Date) | undefined;
}

export class Template {
  readonly #render: Render;

  /** @throws TemplateError `syntax`, with the line and the fault */
  constructor(source: string) {
    if (source.length > LONGEST_SOURCE) throw syntaxError(`a template has at most ${LONGEST_SOURCE} characters`, 1);
    this.#render = withinStack(() => compile(parse(source)));
  }

  /**
   * @param variables plain data: null, booleans, numbers, bigints, strings, arrays, and objects or Maps of them
   * @throws TemplateError if the template refuses or fails, with the line; NotData for other values
   */
  render(variables: Readonly<Record<string, unknown>>, options: RenderOptions = {}): string {
    const host = new HostValues();
    const given = new Map<string, Value>(GLOBALS);
    for (const [name, value] of Object.entries(variables)) given.set(name, host.convert(value, name));
    const run = new Run({ now: options.now, inputLength: host.length });
    try {
      return withinStack(() => this.#render(run, new Context(given)));
    } catch (error) {
      if (error instanceof TemplateError) error.line ??= run.line;
      throw error;
    }
  }
}

/** Depth is bounded everywhere by numbers; a host with a small stack may still fail earlier. */
function withinStack<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof RangeError) throw limit("nests too deeply");
    throw error;
  }
}
