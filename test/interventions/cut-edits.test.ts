/**
 * Edge masks beside what is as large as float32 allows: sources that stages edit, and masks whose values change while they
 * run. What is left has the digits that float64 gives it; where float32 cannot, an error says so.
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseSafetensors, storeFloat32, toFloat32, writeSafetensors } from "../../src/formats/safetensors.ts";
import type { Model } from "../../src/index.ts";
import { destinationName, listDestinations, listSources, sourceName } from "../../src/interventions/edges.ts";
import type {
  AffineStage,
  Composition,
  NeuronScaleStage,
  NeuronSite,
  NeuronValues,
  Stage,
} from "../../src/interventions/stage.ts";
import { normal } from "../reference/draw.ts";
import { referenceForward } from "../reference/forward.ts";
import { openReference, type ReferenceModel } from "../reference/open.ts";
import { openRandomModel } from "../reference/random-models.ts";
import { assertClose } from "../support/closeness.ts";
import { location, readBytes, readJson } from "../support/files.ts";
import { load } from "../support/load.ts";
import { refusalOf } from "../support/refusal-code.ts";
import { maskStage } from "../support/stages.ts";
import { myTurns, sharedOut } from "../support/turns.ts";

const PROMPT = [1, 7, 28, 33, 1];
const of = (...stages: readonly Stage[]): Composition => ({ stages, warnings: [] });
const full = (length: number, value: number) => new Float32Array(length).fill(value);

/** Stages that make the sources of layer 0 large. */
class Large {
  readonly #seed: number;
  readonly d: number;

  constructor({ config }: ReferenceModel, seed: number) {
    this.#seed = seed;
    this.d = config.hidden_size;
  }

  row(name: string, scale: number, rows = 1): Float32Array {
    return normal(this.#seed, name, rows * this.d, scale);
  }

  push(scale: number, own: Partial<AffineStage> = {}): Stage {
    const values = new Map([[0, { direction: this.row("direction", scale) }]]);
    const common = { id: "push", layers: [0], positions: "all", strength: 1, gate: "identity", alpha: 1 } as const;
    return { kind: "affine", method: "addition", site: "mlp_out", ...common, values, ...own };
  }

  neurons(site: NeuronSite, values: NeuronValues): NeuronScaleStage {
    const common = { id: "neurons", layers: [0], positions: "all", strength: 1 } as const;
    return { kind: "neuron_scale", site, ...common, values: new Map([[0, values]]) };
  }
}

async function compare(model: Model, reference: ReferenceModel, composition: Composition, what: string) {
  const { data } = await model.withStages(composition).logits(PROMPT);
  const { logits } = referenceForward(reference.weights, reference.config, composition, { tokens: PROMPT });
  assertClose(data, Float32Array.from(logits), what);
}

for (const seed of myTurns([2, 5])) {
  test(`seed ${seed}: of sources that stages make large a mask leaves what float64 does`, async () => {
    const random = await openRandomModel(seed);
    const { config } = random;
    const { intermediate_size: neurons } = config;
    const model = await load(random.files);
    const large = new Large(random, seed);
    const firstHead = full(config.num_attention_heads * config.head_dim, 1).fill(1e10, 0, config.head_dim);
    const mlp = maskStage(random.config, (source) => (source === "blocks.0.mlp" ? 0 : undefined));
    const little = maskStage(random.config, (source) => (source === "blocks.0.mlp" ? 1e-7 : undefined));
    const ofHeads = maskStage(random.config, (source) => (source === "blocks.0.head.0" ? 0 : undefined));
    const constants = large.row("constants", 0.3, listSources(config).length);
    const small: Stage = { ...large.push(0.5, { site: "resid_post" }), id: "small" };
    const cases: Readonly<Record<string, Composition>> = {
      "a push of which little is kept": of(large.push(1e7), little),
      "a push that is replaced": of(large.push(1e8), { ...mlp, constants }),
      "half of a push": of(large.push(1e8), { ...mlp, strength: 0.5 }),
      "a push beside a small one of the stream": of(large.push(1e8), small, mlp),
      "a push on some tokens": of(large.push(1e8, { positions: [1, 3] }), mlp),
      "a shift of what the MLP gives": of(large.neurons("mlp_out", { shift: large.row("shift", 1e9) }), mlp),
      "neurons by 100": of(large.neurons("mlp_post", { scale: full(neurons, 100) }), mlp),
    };
    for (const [name, composition] of Object.entries(cases)) {
      await compare(model, random, composition, `${name}: ${random.summary}`);
    }
    // All of the MLP is cut, everywhere: nothing of the push is left, whatever it was. Float64's own stream loses at 1e20.
    const { data } = await model.withStages(of(large.push(1e20), mlp)).logits(PROMPT);
    assert.equal(data, (await model.withStages(of(large.push(1), mlp)).logits(PROMPT)).data);

    const lost: Readonly<Record<string, Composition>> = {
      "neurons by 1e10": of(large.neurons("mlp_post", { scale: full(neurons, 1e10) }), mlp),
      "a head by 1e10": of(large.neurons("attn_z", { scale: firstHead }), ofHeads),
    };
    for (const [name, composition] of Object.entries(lost)) {
      const { code, message } = await refusalOf(() => model.withStages(composition).logits(PROMPT), name);
      assert.is(code, "non_finite");
      assert.match(message, /^The stream at \S+ loses its digits: the edge mask takes away/);
    }
    model.dispose();
  });
}

const share = sharedOut(test);

share("in a batch, whose plan is another", async () => {
  const random = await openRandomModel(2);
  const model = await load(random.files);
  const large = new Large(random, 2);
  const mlp = maskStage(random.config, (source, to) => (source === "blocks.0.mlp" && to.includes("1") ? 0 : undefined));
  const edited = model.withStages(of(large.push(1e8), mlp));
  const options = { maxNewTokens: 4, stopTokens: [], logprobs: true } as const;
  const alone = await edited.generate(PROMPT, options).result();
  const batch = await edited.batch({ sequences: 1, context: 16 });
  assert.equal((await batch.generate(PROMPT, options).result()).logprobs, alone.logprobs);
  batch.dispose();
  model.dispose();
});

/** gpt2-tiny with the output of its first MLP times `factor`. */
async function withLargeMlp(factor: number): Promise<File[]> {
  const folder = "test/golden/gpt2-tiny";
  const { tensors } = parseSafetensors(await readBytes(`${folder}/model.safetensors`), "weights");
  const changed = [...tensors].map(([name, tensor]) => {
    if (!name.includes("h.0.mlp.c_proj")) return [name, tensor] as const;
    const values = toFloat32(tensor).map((value) => value * factor);
    return [name, storeFloat32(values, tensor.shape)] as const;
  });
  return [
    new File([JSON.stringify(await readJson<object>(`${folder}/config.json`))], "config.json"),
    new File([writeSafetensors(new Map(changed))], "model.safetensors"),
  ];
}

share(
  "sources that weights make large: what a session leaves of a mask of ones; an error if few edges are listed",
  async () => {
    const files = await withLargeMlp(1e8);
    const reference = await openReference(files);
    const { config, weights } = reference;
    const model = await load(files);
    const everything = maskStage(reference.config, () => 1);
    const session = await model.withStages(of(everything)).session({ context: 16 });
    const sources = listSources(config).map(sourceName);
    const destinations = listDestinations(config, "qkv_groups").map(destinationName);
    const masks: Readonly<Record<string, (source: string) => number>> = {
      "embed and a head are left": (source) => (source === "embed" || source.includes("head.0") ? 1 : 0),
      "the large MLP is cut": (source) => (source === "blocks.0.mlp" ? 0 : 1),
    };
    for (const [name, value] of Object.entries(masks)) {
      const edges = everything.edges.map(({ source, destination }) => {
        const from = sources[source] as string;
        return [from, destinations[destination] as string, value(from)] as const;
      });
      session.set("mask", { edges });
      const { logits } = referenceForward(weights, config, of(maskStage(reference.config, value)), { tokens: PROMPT });
      const last = logits.slice(-config.vocab_size);
      const sum = last.reduce((part, logit) => part + Math.exp(logit - Math.max(...last)), 0);
      const options = { maxNewTokens: 1, stopTokens: [], logprobs: true } as const;
      const { logprobs = [] } = await session.generate(PROMPT, options).result();
      assert.ok(Math.abs((logprobs[0]?.logprob ?? 0) + Math.log(sum)) < 1e-5, name);
    }
    session.dispose();

    const few = model.withStages(
      of(maskStage(reference.config, (source) => (source === "blocks.0.mlp" ? 0 : undefined))),
    );
    const { code, message } = await refusalOf(() => few.logits(PROMPT), "an MLP that is cut");
    assert.is(code, "non_finite");
    assert.match(message, /The stream at resid_pre\.1 loses its digits: the edge mask takes away/);
    model.dispose();
  },
);

share("replacements that the stream takes away again are an error", async () => {
  const reference = await openReference(location("test/golden/gpt2-tiny"));
  const model = await load(location("test/golden/gpt2-tiny"));
  const large = new Large(reference, 3);
  const direction = large.row("direction", 1e8);
  const sources = listSources(reference.config).map(sourceName);
  const constants = new Float32Array(sources.length * large.d);
  constants.set(
    direction.map((value) => -value),
    sources.indexOf("blocks.0.mlp") * large.d,
  );
  const mask = { ...maskStage(reference.config, (source) => (source === "blocks.0.mlp" ? 0 : undefined)), constants };
  const push = large.push(1e8, { site: "resid_post" });
  const { message } = await refusalOf(() => model.withStages(of(push, mask)).logits(PROMPT), "a sum of zero");
  assert.match(message, /loses its digits/);
  model.dispose();
});

test.run();
