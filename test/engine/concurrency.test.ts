/**
 * Whatever runs at the same time on one model, or on two models of one device, gives what it gives alone, bit for bit: the
 * host takes turns at every await, and nothing that a call writes may reach another's. INTERLEAVINGS=all tries all 63. In
 * Node alone: nothing of it depends on where it runs.
 */
import { env } from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { fitDirection, type Model, openAttribution, readBundle } from "../../src/index.ts";
import { location, readBytes } from "../support/files.ts";
import { load } from "../support/load.ts";

const FOLDER = "test/golden/gpt2-tiny";
const BUNDLE = `${FOLDER}/ace-resid_post.safetensors`;
const PROMPT = [5, 17, 42, 8, 99];
const SAMPLED = { temperature: 1, seed: 11 } as const;

interface Operation {
  readonly name: string;
  /** Runs it; the result is all that it gives, as text. */
  run(models: Models): Promise<string>;
}

interface Models {
  readonly plain: Model;
  readonly edited: Model;
}

function bitsOf({ data }: { readonly data: Float32Array }): string {
  return new Uint32Array(data.buffer, data.byteOffset, data.length).join(" ");
}

const operations: readonly Operation[] = [
  {
    name: "generation",
    async run({ edited }) {
      const { tokens } = await edited.generate(PROMPT, { maxNewTokens: 12, ...SAMPLED }).result();
      return tokens.join();
    },
  },
  {
    name: "capture",
    async run({ plain }) {
      const found = await plain.capture(PROMPT, ["resid_post.1", "attn_pattern.2"]);
      return [...found.values()].map(bitsOf).join("; ");
    },
  },
  { name: "logits", run: async ({ edited }) => bitsOf(await edited.logits(PROMPT)) },
  {
    name: "stage changes",
    /** Between two calls, and between two tokens: that one acts from the token that the result names. */
    async run({ edited }) {
      const session = await edited.session({ context: 32 });
      try {
        const [id] = edited.stages.map((stage) => stage.id) as [string];
        const first = await session.generate(PROMPT, { maxNewTokens: 4, ...SAMPLED }).result();
        session.set(id, { strength: 0.25 });
        const second = await session.generate(PROMPT, { maxNewTokens: 4, ...SAMPLED }).result();
        const running = session.generate(PROMPT, { maxNewTokens: 10, ...SAMPLED });
        let count = 0;
        for await (const _ of running) if (++count === 2) session.set(id, { strength: 2 });
        const { tokens, changes } = await running.result();
        const at = changes[0]?.first_token ?? tokens.length;
        const again = [...PROMPT, ...tokens.slice(0, at)];
        session.set(id, { strength: 0.25 });
        const before = await session.generate(PROMPT, { maxNewTokens: Math.max(at, 1), ...SAMPLED }).result();
        assert.equal(before.tokens.slice(0, at), tokens.slice(0, at), "before the change");
        session.set(id, { strength: 2 });
        const left = tokens.length - at;
        const after =
          left > 0 ? (await session.generate(again, { maxNewTokens: left, ...SAMPLED }).result()).tokens : [];
        assert.equal(after, tokens.slice(at), "after the change");
        return [first, second].map((result) => result.tokens.join()).join("; ");
      } finally {
        session.dispose();
      }
    },
  },
  {
    name: "fit",
    async run({ plain }) {
      const classes = {
        positive: [
          [1, 2, 3],
          [4, 5],
        ],
        negative: [
          [6, 7],
          [8, 9, 10],
        ],
      };
      const { tensors } = await fitDirection(plain, "ace", { ...classes, layers: [1] });
      return [...tensors].map(([name, { bytes }]) => `${name} ${bytes.join(" ")}`).join("; ");
    },
  },
  {
    name: "attribution",
    async run({ plain }) {
      const attribution = await openAttribution(plain, [PROMPT]);
      try {
        const { loss, gradient } = await attribution.run({});
        return `${loss} ${bitsOf(gradient)}`;
      } finally {
        attribution.dispose();
      }
    },
  },
];

/** What runs at once: each on the first model or on the second. */
type Together = readonly (readonly [operation: Operation, model: 0 | 1])[];

/** Pairs and triples on one model, pairs on two models, and everything at once on both: 63. */
function* interleavings(): Generator<Together> {
  for (const [i, one] of operations.entries()) {
    for (const [j, two] of operations.entries()) {
      if (j < i) continue;
      yield [
        [one, 0],
        [two, 0],
      ];
      yield [
        [one, 0],
        [two, 1],
      ];
      for (const three of j > i ? operations.slice(j + 1) : []) {
        yield [
          [one, 0],
          [two, 0],
          [three, 0],
        ];
      }
    }
  }
  yield operations.flatMap(
    (each): Together => [
      [each, 0],
      [each, 1],
    ],
  );
}

/** Every pair in two of them, since each takes a second of the processor's time: everything at once on one model, and on two. */
const few: readonly Together[] = [
  operations.map((each): Together[number] => [each, 0]),
  operations.map((each, i): Together[number] => [each, i % 2 === 0 ? 0 : 1]),
];

let models: readonly [Models, Models];
let alone: ReadonlyMap<Operation, string>;

test.before(async () => {
  const bytes = await readBytes(BUNDLE);
  const open = async (): Promise<Models> => {
    const plain = await load(location(FOLDER), { plan: "reference" });
    return { plain, edited: plain.with([readBundle(bytes, BUNDLE)]) };
  };
  models = [await open(), await open()];
  const results = new Map<Operation, string>();
  for (const operation of operations) results.set(operation, await operation.run(models[0]));
  alone = results;
});

test.after(() => {
  for (const { plain } of models) plain.dispose();
});

test("what runs at once gives what it gives alone", async () => {
  const all = [...interleavings()];
  assert.is(all.length, 63);
  for (const together of env.INTERLEAVINGS === "all" ? all : few) {
    const names = together.map(([{ name }, model]) => `${name} on ${model}`).join(", ");
    const results = await Promise.all(together.map(([operation, model]) => operation.run(models[model])));
    for (const [i, [operation]] of together.entries()) {
      assert.ok(results[i] === alone.get(operation), `${operation.name} differs in ${names}`);
    }
  }
});

test.run();
