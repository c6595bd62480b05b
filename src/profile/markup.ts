/** HTML and SVG as template literals: values are escaped, unless they are markup. */

/** Text that is already markup. */
export class Markup {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  toString(): string {
    return this.#text;
  }
}

type Part = Markup | string | number | false | readonly Part[];

/** Markup of a template; `false` adds nothing, lists add their parts one after another. */
export function markup(strings: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  return new Markup(strings.reduce((text, string, i) => `${text}${textOf(parts[i - 1] ?? false)}${string}`));
}

function textOf(part: Part): string {
  if (part === false) return "";
  if (part instanceof Markup) return part.toString();
  if (typeof part === "object") return part.map(textOf).join("");
  return String(part).replace(/[&<>"]/g, (character) => escapes[character] ?? character);
}

const escapes: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
