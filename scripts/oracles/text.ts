/** Tokenizers and chat templates against the libraries: what python/oracles/text.py computed, in Node. */
import { SluiceError } from "../../src/errors.ts";
import { Template, TemplateError } from "../../src/jinja/template.ts";
import { readJson } from "../../test/support/files.ts";
import { loaded } from "../../test/tokenizer/tokenizer-of.ts";
import { WORK } from "./files.ts";

interface TokenizerCase {
  readonly group: string;
  readonly tokenizer: unknown;
  /** Null stands for a refusal or a panic of the library. */
  readonly encode: readonly (readonly [text: string, framed: number[] | null, plain: number[] | null])[];
  readonly decode: readonly (readonly [ids: number[], text: string | null, withSpecials: string | null])[];
}

interface TemplateCase {
  readonly group: string;
  readonly template: string;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly text: string | null;
}

/** How many texts of a kind are equal. */
export interface TextResult {
  readonly what: string;
  readonly files: number;
  readonly cases: number;
  /** In words, the first few that are not. */
  readonly faults: readonly string[];
}

export async function runText(): Promise<TextResult[]> {
  const { tokenizers, templates } = await readJson<{ tokenizers: TokenizerCase[]; templates: TemplateCase[] }>(
    `${WORK}/text.json`,
  );
  const results: TextResult[] = [];
  for (const [group, about] of [
    ["corpus", "of the corpus"],
    ["random", "random"],
  ] as const) {
    const files = tokenizers.filter((each) => each.group === group);
    const encode = new Count();
    const decode = new Count();
    for (const file of files) await checkTokenizer(file, encode, decode);
    results.push({ what: `tokenizers ${about}: encode`, files: files.length, ...encode });
    results.push({ what: `tokenizers ${about}: decode`, files: files.length, ...decode });
  }
  for (const [group, about] of [
    ["corpus", "of models"],
    ["random", "random"],
  ] as const) {
    const rendered = new Count();
    const chosen = templates.filter((each) => each.group === group);
    for (const { template, variables, text } of chosen) {
      rendered.add(render(template, variables), text, template.slice(0, 80));
    }
    const files = new Set(chosen.map(({ template }) => template)).size;
    results.push({ what: `chat templates ${about}`, files, ...rendered });
  }
  return results;
}

class Count {
  cases = 0;
  readonly faults: string[] = [];

  /** Both are ids or texts; null is a refusal. */
  add(found: unknown, wanted: unknown, what: string): void {
    this.cases += 1;
    if (JSON.stringify(found) !== JSON.stringify(wanted)) {
      this.faults.push(`${what}: ${JSON.stringify(found)}, not ${JSON.stringify(wanted)}`);
    }
  }
}

async function checkTokenizer({ tokenizer: json, encode, decode }: TokenizerCase, ids: Count, texts: Count) {
  const tokenizer = await loaded({ "tokenizer.json": json }, { vocab_size: 1000, eos_token_ids: [] });
  const tried = (text: string, addSpecialTokens: boolean): readonly number[] | null => {
    try {
      return [...tokenizer.encode(text, { addSpecialTokens })];
    } catch (error) {
      if (error instanceof SluiceError) return null;
      throw error;
    }
  };
  for (const [text, framed, plain] of encode) {
    ids.add(tried(text, true), framed, JSON.stringify(text));
    ids.add(tried(text, false), plain, JSON.stringify(text));
  }
  for (const [list, text, withSpecials] of decode) {
    // Where the library panics, there is nothing to compare with.
    if (text !== null) texts.add(tokenizer.decode(list), text, JSON.stringify(list));
    if (withSpecials !== null) {
      texts.add(tokenizer.decode(list, { skipSpecialTokens: false }), withSpecials, JSON.stringify(list));
    }
  }
}

/** The clock of scripts/jinja/environment.py. */
const now = (): Date => new Date(2024, 6, 26, 9, 5, 3, 45);

function render(template: string, variables: Readonly<Record<string, unknown>>): string | null {
  try {
    return new Template(template).render(variables, { now });
  } catch (error) {
    if (error instanceof TemplateError && error.kind !== "limit") return null;
    throw error;
  }
}
