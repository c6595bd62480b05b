/** Tables as text: RFC 4180, with quoted fields that may hold separators, quotes and line ends. */
import { SluiceError } from "../errors.ts";
import { show } from "../show.ts";

export interface CsvTable {
  /** Names of all columns, in the file's order. */
  readonly names: readonly string[];
  /** How many records follow the first. */
  readonly rows: number;
  /** Cells of the wanted columns that the table has, each with one cell per row. */
  readonly columns: ReadonlyMap<string, readonly string[]>;
}

/**
 * Reads a CSV text, whose first record names the columns. Blank lines are skipped. Only wanted columns are kept: a table
 * may have as many cells as characters.
 * @param where names the source in errors
 * @throws SluiceError `bad_file` naming the line, for two columns with one name, an unclosed quote, text after a quoted field, or a record of another length
 */
export function parseCsv(content: string, where: string, wanted: readonly string[]): CsvTable {
  const reader = new CsvReader(content, where);
  const names = reader.next() ?? [];
  const twice = firstTwice(names);
  if (twice !== undefined) {
    throw new SluiceError("bad_file", `${where} has two columns ${show(twice)}`, {
      hint: "Give each column a different name.",
    });
  }
  const kept = wanted
    .map((name) => ({ name, index: names.indexOf(name), cells: [] as string[] }))
    .filter(({ index }) => index >= 0);
  let rows = 0;
  for (let fields = reader.next(); fields; fields = reader.next()) {
    if (fields.length !== names.length) {
      throw new SluiceError(
        "bad_file",
        `${where}, line ${reader.line}: ${fields.length} fields, but the first line names ${names.length} columns`,
        { hint: "Put fields that contain commas, quotes or line ends in double quotes." },
      );
    }
    rows++;
    for (const { index, cells } of kept) cells.push(fields[index] as string);
  }
  return { names, rows, columns: new Map(kept.map(({ name, cells }) => [name, cells])) };
}

function firstTwice(names: readonly string[]): string | undefined {
  const seen = new Set<string>();
  return names.find((name) => seen.size === seen.add(name).size);
}

const [QUOTE, COMMA, NEWLINE, RETURN] = [0x22, 0x2c, 0x0a, 0x0d];

/** Reads records one after another. */
class CsvReader {
  /** The line where the last record begins, from 1. */
  line = 1;
  readonly #content: string;
  readonly #where: string;
  #at: number;
  #nextLine = 1;

  constructor(content: string, where: string) {
    this.#content = content;
    this.#where = where;
    this.#at = content.startsWith("\uFEFF") ? 1 : 0;
  }

  /** The fields of the next record that is not a blank line; undefined after the last. */
  next(): readonly string[] | undefined {
    while (this.#at < this.#content.length) {
      this.line = this.#nextLine;
      const fields = [this.#field()];
      while (this.#content.charCodeAt(this.#at) === COMMA) {
        this.#at++;
        fields.push(this.#field());
      }
      if (this.#content.startsWith("\r\n", this.#at)) this.#at++;
      this.#at++;
      this.#nextLine++;
      if (fields.length > 1 || fields[0] !== "") return fields;
    }
    return undefined;
  }

  /** One field; the next character is then a comma or a line end, or there is none. */
  #field(): string {
    const content = this.#content;
    if (content.charCodeAt(this.#at) === QUOTE) return this.#quoted();
    const begin = this.#at;
    let end = begin;
    while (end < content.length && !isFieldEnd(content.charCodeAt(end))) end++;
    this.#at = end;
    return content.slice(begin, end);
  }

  #quoted(): string {
    const content = this.#content;
    const begin = this.#at + 1;
    let end = content.indexOf('"', begin);
    let hasQuotes = false;
    // A quote inside is written twice.
    while (end >= 0 && content.charCodeAt(end + 1) === QUOTE) {
      hasQuotes = true;
      end = content.indexOf('"', end + 2);
    }
    if (end < 0) throw new SluiceError("bad_file", `${this.#where}, line ${this.#nextLine}: a quote is not closed`);
    if (end + 1 < content.length && !isFieldEnd(content.charCodeAt(end + 1))) {
      throw new SluiceError("bad_file", `${this.#where}, line ${this.#nextLine}: text follows a quoted field`, {
        hint: "Write a quote inside a quoted field twice.",
      });
    }
    this.#at = end + 1;
    const value = content.slice(begin, end);
    for (let i = value.indexOf("\n"); i >= 0; i = value.indexOf("\n", i + 1)) this.#nextLine++;
    return hasQuotes ? value.replaceAll('""', '"') : value;
  }
}

function isFieldEnd(code: number): boolean {
  return code === COMMA || code === NEWLINE || code === RETURN;
}
