/** What is under way when something fails: every kind of call, each with a result that can be compared. */
import { fitDirection, type Model, openAttribution, readBundle } from "../../src/index.ts";
import { readBytes } from "../../test/support/files.ts";

export const MODEL = "test/golden/gpt2-tiny";
const BUNDLE = `${MODEL}/everything.safetensors`;

export interface Work {
  readonly name: string;
  /**
   * Runs it on a model. The result is as text, so that two can be compared.
   * @param opened told of what it opens on the model
   */
  run(model: Model, signal: AbortSignal, opened: (part: Disposable) => void): Promise<string>;
}

/** What is disposed of. */
export interface Disposable {
  dispose(): void;
}

const bundleBytes = await readBytes(BUNDLE);
const PROMPT = [1, 2, 3, 4, 5, 6, 7];
const SEED = { temperature: 1, seed: 7 } as const;

function edited(model: Model): Model {
  return model.with([readBundle(bundleBytes, BUNDLE)]);
}

/** A text for the bits of numbers. */
function textOf(values: Float32Array): string {
  return new Uint32Array(values.buffer, values.byteOffset, values.length).join(" ");
}

export const works: readonly Work[] = [
  {
    name: "generate",
    async run(model, signal) {
      return (await model.generate(PROMPT, { maxNewTokens: 24, ...SEED, signal }).result()).tokens.join();
    },
  },
  {
    name: "generate with a bundle",
    async run(model, signal) {
      return (
        await edited(model)
          .generate(PROMPT, { maxNewTokens: 12, ...SEED, signal })
          .result()
      ).tokens.join();
    },
  },
  {
    name: "session",
    async run(model, signal, opened) {
      const session = await edited(model).session({ context: 48 });
      opened(session);
      try {
        const first = await session.generate(PROMPT, { maxNewTokens: 8, ...SEED, signal }).result();
        const [stage] = edited(model).stages;
        if (stage) session.set(stage.id, { strength: 0.5 });
        const text = [...first.prompt_tokens, ...first.tokens, 9];
        const second = await session.generate(text, { maxNewTokens: 8, ...SEED, signal }).result();
        return [...first.tokens, ...second.tokens].join();
      } finally {
        session.dispose();
      }
    },
  },
  {
    name: "batch",
    async run(model, signal, opened) {
      const batch = await model.batch({ sequences: 2, context: 48, signal });
      opened(batch);
      try {
        const all = [PROMPT, [9, 8, 7], [4, 4]].map((prompt) =>
          batch.generate(prompt, { maxNewTokens: 10, ...SEED, signal }).result(),
        );
        const ended = await Promise.allSettled(all);
        const failed = ended.find((each) => each.status === "rejected");
        if (failed) throw failed.reason;
        return (await Promise.all(all)).map(({ tokens }) => tokens.join()).join("; ");
      } finally {
        batch.dispose();
      }
    },
  },
  {
    name: "capture",
    async run(model, signal) {
      const found = await model.capture(PROMPT, ["resid_post.1", "attn_pattern.0"], { signal });
      return [...found.values()].map(({ data }) => textOf(data)).join("; ");
    },
  },
  {
    name: "logits",
    async run(model, signal) {
      return textOf((await model.logits(PROMPT, { signal })).data);
    },
  },
  {
    name: "perplexity",
    async run(model, signal) {
      return `${(await model.perplexity([PROMPT, [...PROMPT, ...PROMPT]], { signal })).nll}`;
    },
  },
  {
    name: "compare tokens",
    async run(model, signal) {
      return JSON.stringify(await edited(model).compareTokens(PROMPT, { signal }));
    },
  },
  {
    name: "fit",
    async run(model, signal) {
      const classes = {
        positive: [
          [1, 2, 3],
          [3, 4],
        ],
        negative: [
          [5, 6],
          [7, 8, 9],
        ],
      };
      const { tensors } = await fitDirection(model, "ace", { ...classes, layers: [0, 1], signal });
      return [...tensors.values()].map(({ bytes }) => bytes.join(" ")).join("; ");
    },
  },
  {
    name: "attribution",
    async run(model, signal, opened) {
      const attribution = await openAttribution(model, [PROMPT], { signal });
      opened(attribution);
      try {
        const { loss, gradient } = await attribution.run({}, { signal });
        return `${loss} ${textOf(gradient.data)}`;
      } finally {
        attribution.dispose();
      }
    },
  },
];
