/** Tables as text: RFC 4180, with quoted fields that may hold separators, quotes and line ends. */
import { SluiceError } from "../errors.ts";
import { show } from "../show.ts";

/**
 * The records of a CSV text, as text by column name. The first record names the columns. Blank lines are skipped.
 * @param where names the source in errors
 * @throws SluiceError `bad_file` naming the line, for two columns with one name, an unclosed quote, text after a quoted field, or a record of another length
 */
export function parseCsv(content: string, where: string): readonly ReadonlyMap<string, string>[] {
  const records = splitRecords(content.replace(/^\uFEFF/, ""), where);
  const [header, ...rows] = records;
  if (!header) return [];
  const seen = new Set<string>();
  const twice = header.fields.find((name) => seen.size === seen.add(name).size);
  if (twice !== undefined) {
    throw new SluiceError("bad_file", `${where} has two columns ${show(twice)}`, {
      hint: "Give each column a different name.",
    });
  }
  return rows.map(({ line, fields }) => {
    if (fields.length !== header.fields.length) {
      throw new SluiceError(
        "bad_file",
        `${where}, line ${line}: ${fields.length} fields, but the first line names ${header.fields.length} columns`,
        { hint: "Put fields that contain commas, quotes or line ends in double quotes." },
      );
    }
    return new Map(header.fields.map((name, i) => [name, fields[i] as string]));
  });
}

interface CsvRecord {
  /** The line where it begins, from 1. */
  readonly line: number;
  readonly fields: readonly string[];
}

function splitRecords(content: string, where: string): readonly CsvRecord[] {
  const records: CsvRecord[] = [];
  let at = 0;
  let line = 1;
  while (at < content.length) {
    const begin = line;
    const fields: string[] = [];
    for (;;) {
      const { value, end, lines } = readField(content, at, line, where);
      fields.push(value);
      at = end;
      line += lines;
      if (content[at] !== ",") break;
      at++;
    }
    if (content[at] === "\r" && content[at + 1] === "\n") at++;
    at++;
    line++;
    if (fields.length > 1 || fields[0] !== "") records.push({ line: begin, fields });
  }
  return records;
}

const FIELD_END = /[,\n\r]/g;

/** One field from `at` on, and where it ends: at a comma, a line end, or the end of the text. */
function readField(
  content: string,
  at: number,
  line: number,
  where: string,
): { readonly value: string; readonly end: number; readonly lines: number } {
  if (content[at] !== '"') {
    FIELD_END.lastIndex = at;
    const end = FIELD_END.exec(content)?.index ?? content.length;
    return { value: content.slice(at, end), end, lines: 0 };
  }
  let value = "";
  let next = at + 1;
  for (;;) {
    const quote = content.indexOf('"', next);
    if (quote < 0) {
      throw new SluiceError("bad_file", `${where}, line ${line}: a quote is not closed`);
    }
    value += content.slice(next, quote);
    next = quote + 1;
    if (content[next] !== '"') break;
    value += '"';
    next++;
  }
  if (next < content.length && !/[,\n\r]/.test(content[next] as string)) {
    throw new SluiceError("bad_file", `${where}, line ${line}: text follows a quoted field`, {
      hint: "Write a quote inside a quoted field twice.",
    });
  }
  return { value, end: next, lines: value.split("\n").length - 1 };
}
