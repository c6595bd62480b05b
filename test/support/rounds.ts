/**
 * What may be repeated without end: after each round, what Sluice holds is what it held before. The test does a few rounds,
 * `npm run leaks` a thousand. In Node and in pages.
 */
import {
  fitDirection,
  type Model,
  type ModelSource,
  openAttribution,
  readBundle,
  SluiceError,
} from "../../src/index.ts";
import { load as loadOnItsOwn } from "../../src/model/load.ts";
import { location, readBytes } from "./files.ts";

/** Work that is repeated. */
export interface Rounds {
  readonly name: string;
  /** Turns after which the rounds begin again. */
  readonly turns: number;
  /** How often `npm run leaks` repeats it. */
  readonly most: number;
  /** Prepares what all rounds share. */
  open(device: GPUDevice): Promise<{ round(turn: number): Promise<void>; close(): void }>;
}

const MODEL = "test/golden/gpt2-tiny";
const BUNDLE = `${MODEL}/everything.safetensors`;
const PROMPT = [1, 2, 3, 4, 5];

/** Rounds on a model that is loaded once. @param prepare what else they share */
function onModel<Shared>(
  name: string,
  turns: number,
  prepare: (model: Model) => Promise<Shared>,
  round: (model: Model, shared: Shared, turn: number) => Promise<void>,
): Rounds {
  return {
    name,
    turns,
    most: 1000,
    async open(device) {
      const model = await loadOnItsOwn(location(MODEL), { device });
      const shared = await prepare(model);
      return { round: (turn) => round(model, shared, turn), close: () => model.dispose() };
    },
  };
}

async function withBundle(model: Model): Promise<Model> {
  return model.with([readBundle(await readBytes(BUNDLE), BUNDLE)]);
}

/** A load that must be refused; nothing of it stays. */
type Refused = (device: GPUDevice) => Promise<unknown>;

async function refusals(): Promise<readonly Refused[]> {
  const [config, weights, bundle] = await Promise.all(
    ["config.json", "model.safetensors", "everything.safetensors"].map((file) => readBytes(`${MODEL}/${file}`)),
  );
  const folder = (files: Readonly<Record<string, BlobPart | undefined>>): ModelSource =>
    Object.entries(files).map(([name, content = ""]) => new File([content], name));
  const refused = (source: ModelSource, options: object = {}): Refused => {
    return (device) => loadOnItsOwn(source, { device, ...options });
  };
  const whole = { "config.json": config, "model.safetensors": weights };
  const stopAt = (phase: string): object => {
    const stop = new AbortController();
    return {
      signal: stop.signal,
      onProgress: (progress: { phase: string }) => progress.phase === phase && stop.abort(),
    };
  };
  return [
    refused(`${location(MODEL)}/no-such-folder`),
    refused(folder({ "config.json": "{" })),
    refused(folder({ ...whole, "config.json": '{"model_type": "gpt2"}' })),
    refused(folder({ ...whole, "model.safetensors": weights?.slice(0, -8) })),
    refused(folder({ ...whole, "model.safetensors": bundle })),
    (device) => loadOnItsOwn(folder(whole), { device, ...stopAt("upload") }),
    (device) => loadOnItsOwn(location(MODEL), { device, ...stopAt("upload") }),
    refused(location(MODEL), {
      onProgress: ({ phase }: { phase: string }) => {
        if (phase === "upload") throw new SluiceError("usage", "The caller's own error");
      },
    }),
  ];
}

export const allRounds: readonly Rounds[] = [
  onModel(
    "generations",
    2,
    async () => new AbortController().signal,
    async (model, signal, turn) => {
      await model.generate(PROMPT, { maxNewTokens: 3, temperature: turn % 2, seed: turn, signal }).result();
    },
  ),
  onModel("sessions never used", 2, withBundle, async (model, edited, turn) => {
    (await (turn % 2 === 0 ? model : edited).session({ context: 32 })).dispose();
  }),
  onModel("sessions", 4, withBundle, async (model, edited, turn) => {
    const session = await (turn % 2 === 0 ? model : edited).session({ context: 32 });
    const generation = session.generate(PROMPT, { maxNewTokens: 3 });
    // Two of four are left in the middle.
    for await (const _ of generation) if (turn % 4 < 2) break;
    session.dispose();
  }),
  onModel("captures and fits", 3, withBundle, async (model, edited, turn) => {
    if (turn % 3 === 0) await edited.capture(PROMPT, ["resid_post.0", "attn_pattern.0"]);
    else if (turn % 3 === 1) {
      await fitDirection(model, "addition", {
        positive: [
          [1, 2],
          [3, 4],
        ],
        negative: [
          [5, 6],
          [7, 8],
        ],
        layers: [0],
      });
    } else (await openAttribution(model, [PROMPT], {})).dispose();
  }),
  onModel(
    "requests to a batch",
    2,
    (model) => model.batch({ sequences: 2, context: 32 }),
    async (_, batch, turn) => {
      const generation = batch.generate(PROMPT, { maxNewTokens: 3 });
      for await (const _ of generation) if (turn % 2 === 0) break;
    },
  ),
  {
    name: "loads",
    turns: 1,
    most: 100,
    async open(device) {
      const bytes = await readBytes(BUNDLE);
      return {
        async round() {
          const model = await loadOnItsOwn(location(MODEL), { device });
          const edited = model.with([readBundle(bytes, BUNDLE)]);
          await edited.generate(PROMPT, { maxNewTokens: 2 }).result();
          model.dispose();
        },
        close: () => undefined,
      };
    },
  },
  {
    name: "refusals",
    turns: 8,
    most: 1000,
    async open(device) {
      const all = await refusals();
      return {
        async round(turn) {
          const error = await all[turn % all.length]?.(device).then(
            () => undefined,
            (thrown: unknown) => thrown,
          );
          if (!(error instanceof SluiceError)) throw new Error(`Refusal ${turn % all.length} ended with ${error}`);
        },
        close: () => undefined,
      };
    },
  },
];
