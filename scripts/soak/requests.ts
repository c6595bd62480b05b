/** What well-behaved clients of a soak ask for, and what an answer is, streamed or not. */

/** A request's body without `stream`. */
export interface Asked {
  readonly path: "/v1/completions" | "/v1/chat/completions";
  readonly body: Readonly<Record<string, unknown>>;
}

/** What came of a choice. */
export interface Choice {
  readonly text: string;
  readonly ids: readonly number[];
  /** Null while it is not known. */
  readonly finish: string | null;
}

const openings = ["Once upon a time", "Once upon a time, there was a dog", "Lily and Tom", "The sun was", "One day"];
const weather = {
  type: "object",
  properties: { city: { type: "string", maxLength: 6 }, warm: { type: "boolean" } },
  required: ["city", "warm"],
  additionalProperties: false,
};

/** Greedy and sampled, short and long, with shared beginnings, edited and not, several at once, held to JSON. */
export const requests: readonly Asked[] = [
  ...openings.flatMap((prompt, i): readonly Asked[] => [
    completion({ prompt, max_tokens: 12 + 8 * i, temperature: 0 }),
    completion({ prompt, max_tokens: 40 - 6 * i, temperature: 1, seed: 100 + i }),
    completion({ prompt, max_tokens: 20, temperature: 0, interventions: [{ bundle: `vector${i % 3}` }] }),
    chat({ max_tokens: 10 + 5 * i, temperature: 0.7, top_p: 0.9, seed: i }, prompt),
  ]),
  completion({ prompt: "They played. ".repeat(25), max_tokens: 16, temperature: 0.8, top_k: 20, seed: 7 }),
  completion({ prompt: [1, 403, 407, 261, 378], max_tokens: 60, temperature: 1, seed: 8, frequency_penalty: 0.5 }),
  completion({ prompt: openings.slice(0, 2), n: 2, max_tokens: 9, temperature: 1, seed: 9 }),
  completion({ prompt: "Tom", max_tokens: 30, temperature: 0, stop: ["."], logprobs: 2 }),
  completion({ prompt: "Tom", max_tokens: 24, temperature: 0, presence_penalty: 1, logit_bias: { "403": 3 } }),
  chat({ max_tokens: 60, temperature: 1, seed: 4, response_format: schema(weather) }, "Weather?"),
  completion({
    ...{ prompt: "Lily", max_tokens: 25, temperature: 0.9, seed: 12 },
    interventions: [{ bundle: "vector1", stages: { push: { strength: -1.5 } } }, { bundle: "vector2" }],
  }),
];

function completion(body: Asked["body"]): Asked {
  return { path: "/v1/completions", body: { model: "soaked", return_token_ids: true, ...body } };
}

function chat(body: Asked["body"], content: string): Asked {
  const messages = [{ role: "user", content }];
  return { path: "/v1/chat/completions", body: { model: "soaked", return_token_ids: true, messages, ...body } };
}

function schema(given: object): object {
  return { type: "json_schema", json_schema: { name: "answer", strict: true, schema: given } };
}

/** A choice of an answer or of a chunk of one, in either of OpenAI's shapes. */
interface GivenChoice {
  readonly index: number;
  readonly text?: string;
  readonly message?: { readonly content?: string | null };
  readonly delta?: { readonly content?: string | null };
  readonly token_ids?: readonly number[];
  readonly finish_reason?: string | null;
}

interface MutableChoice {
  text: string;
  ids: number[];
  finish: string | null;
}

/** Puts the choices of an answer together, from the whole or from its chunks. */
export class Answer {
  readonly #choices: MutableChoice[] = [];

  add(part: unknown): void {
    for (const given of (part as { readonly choices: readonly GivenChoice[] }).choices) {
      this.#choices[given.index] ??= { text: "", ids: [], finish: null };
      const choice = this.#choices[given.index] as MutableChoice;
      choice.text += given.text ?? given.message?.content ?? given.delta?.content ?? "";
      choice.ids.push(...(given.token_ids ?? []));
      choice.finish = given.finish_reason ?? choice.finish;
    }
  }

  get choices(): readonly Choice[] {
    return this.#choices;
  }
}

/** Whether an answer that broke off is the beginning of the whole one. */
export function isBeginning(part: readonly Choice[], whole: readonly Choice[]): boolean {
  return part.every((choice, i) => {
    const { text, ids } = whole[i] ?? { text: "", ids: [] };
    return text.startsWith(choice.text) && choice.ids.every((id, n) => id === ids[n]);
  });
}

export function isSame(answer: readonly Choice[], expected: readonly Choice[]): boolean {
  return JSON.stringify(answer) === JSON.stringify(expected);
}
