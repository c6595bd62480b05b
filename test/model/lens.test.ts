/** The logit lens and the comparison of tokens, against a plain model in float64 and against transformers. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Bundle, type Lens, type Model, readBundle } from "../../src/index.ts";
import { noStages } from "../../src/interventions/stage.ts";
import { readReferenceBundle } from "../reference/bundle.ts";
import { referenceForward } from "../reference/forward.ts";
import { openReference, type ReferenceModel } from "../reference/open.ts";
import { normalize, project } from "../reference/rows.ts";
import { location, readBytes, readJson } from "../support/files.ts";
import { load } from "../support/load.ts";
import { codeOf } from "../support/refusal-code.ts";

const FOLDERS = ["test/golden/gpt2-tiny", "test/golden/llama-tiny"];
const IDS = [1, 17, 4, 99, 23, 8];

interface Opened {
  readonly model: Model;
  readonly reference: ReferenceModel;
  /** Moves the stream after every block. */
  readonly bundle: Bundle;
  readonly bytes: Uint8Array;
}

const opened = new Map<string, Opened>();
let stories: Model;
test.before(async () => {
  stories = await load(location("weights/stories260K"), { plan: "reference" });
  for (const folder of FOLDERS) {
    const bytes = await readBytes(`${folder}/ace-resid_post.safetensors`);
    const model = await load(location(folder), { plan: "reference" });
    const reference = await openReference(location(folder));
    opened.set(folder, { model, reference, bytes, bundle: readBundle(bytes, "ace") });
  }
});
test.after(() => {
  stories.dispose();
  for (const { model } of opened.values()) model.dispose();
});

const soft = (logits: Float64Array): Float64Array => {
  const top = Math.max(...logits);
  const all = logits.map((value) => Math.exp(value - top));
  const sum = all.reduce((a, b) => a + b, 0);
  return all.map((value) => value / sum);
};

function assertNear(actual: number, expected: number, what: string): void {
  assert.ok(Math.abs(actual - expected) <= 2e-5 * (1 + Math.abs(expected)), `${what}: ${actual}, not ${expected}`);
}

/** Everything that a lens says, by plain loops. */
function assertLens(lens: Lens, { reference }: Opened, composition: typeof noStages, isFinal: boolean): void {
  const { weights, config } = reference;
  const sites = lens.layers.map(({ site }) => site);
  const run = referenceForward(weights, config, composition, { tokens: IDS, sites });
  const d = config.hidden_size;
  const own = IDS.map((_, i) => soft(run.logits.slice(i * config.vocab_size, (i + 1) * config.vocab_size)));
  for (const { site, cells } of lens.layers) {
    const stream = run.sites.get(site) as Float64Array;
    const rows = IDS.map((_, i) => stream.slice(i * d, (i + 1) * d));
    const predicted = project(normalize(rows, weights.finalNorm), weights.head).map(soft);
    for (const [i, cell] of cells.entries()) {
      const p = predicted[i] as Float64Array;
      const q = own[i] as Float64Array;
      const order = [...p.keys()].sort((a, b) => (p[b] as number) - (p[a] as number));
      const what = `${site}, token ${i}`;
      assert.equal(
        cell.top.map(({ token }) => token),
        order.slice(0, 4),
        what,
      );
      cell.top.forEach(({ probability }, k) => assertNear(probability, p[order[k] as number] as number, what));
      const next = IDS[i + 1];
      if (next === undefined) assert.is(cell.next, null);
      else assertNear(cell.next?.probability as number, p[next] as number, what);
      assert.is(cell.asked[0]?.rank, order.indexOf(5) + 1, what);
      assertNear(
        cell.entropy_nats,
        p.reduce((sum, each) => sum - each * Math.log(each), 0),
        `entropy of ${what}`,
      );
      const kl = q.reduce((sum, each, token) => sum + each * Math.log(each / (p[token] as number)), 0);
      assertNear(cell.kl_nats, kl, `KL of ${what}`);
      if (isFinal && site === sites.at(-1)) assert.ok(cell.kl_nats < 1e-9, what);
    }
  }
}

for (const folder of FOLDERS) {
  test(`${folder}: every cell equals plain loops, with and without interventions`, async () => {
    const all = opened.get(folder) as Opened;
    const options = { top: 4, asked: [5] };
    assertLens(await all.model.lens(IDS, options), all, noStages, true);
    const composition = readReferenceBundle(all.bytes, all.reference.config);
    assertLens(await all.model.with([all.bundle]).lens(IDS, options), all, composition, true);
  });

  test(`${folder}: after the last block it is the model's own prediction, bit for bit`, async () => {
    const { model, bundle } = opened.get(folder) as Opened;
    for (const each of [model, model.with([bundle])]) {
      const last = each.config.num_hidden_layers - 1;
      const { layers } = await each.lens(IDS, { layers: [last], top: each.config.vocab_size });
      assert.equal(
        layers.map(({ site }) => site),
        [`resid_post.${last}`],
      );
      const cells = layers[0]?.cells ?? [];
      // Equal logits have a divergence of exactly 0; the smallest difference of one would show.
      assert.equal(
        cells.map(({ kl_nats }) => kl_nats),
        IDS.map(() => 0),
      );
      const { data } = await each.logits(IDS, { last: true });
      const byLogit = [...data.keys()].sort((a, b) => (data[b] as number) - (data[a] as number));
      assert.equal(
        cells.at(-1)?.top.map(({ token }) => token),
        byLogit,
      );
    }
  });

  test(`${folder}: tokens compared equal the logits of either model`, async () => {
    const { model, bundle } = opened.get(folder) as Opened;
    const edited = model.with([bundle]);
    const compared = await edited.compareTokens(IDS, { top: 3 });
    const vocab = model.config.vocab_size;
    const predictionsOf = async (each: Model): Promise<Float64Array[]> => {
      const { data } = await each.logits(IDS);
      return IDS.map((_, i) => soft(Float64Array.from(data.subarray(i * vocab, (i + 1) * vocab))));
    };
    const sides = { plain: await predictionsOf(model), edited: await predictionsOf(edited) };
    let kl = 0;
    for (const side of ["plain", "edited"] as const) {
      let nll = 0;
      for (const [i, token] of compared.tokens.entries()) {
        assert.is(token.token, IDS[i]);
        const predicted = sides[side][i - 1];
        if (!predicted) {
          assert.is(token[side], null);
          continue;
        }
        const p = predicted[token.token] as number;
        nll -= Math.log(p);
        assertNear(token[side]?.probability as number, p, `${side} ${i}`);
        assert.is(token[side]?.rank, 1 + predicted.filter((other) => other > p).length);
        const best = [...predicted.keys()].sort((a, b) => (predicted[b] as number) - (predicted[a] as number));
        assert.equal(
          token[side]?.top.map((each) => each.token),
          best.slice(0, 3),
        );
      }
      assertNear(compared.perplexity[side] as number, Math.exp(nll / (IDS.length - 1)), side);
      assert.is(compared.next[side].length, 3);
    }
    for (const [i, p] of sides.plain.entries()) {
      const q = sides.edited[i] as Float64Array;
      const own = p.reduce((sum, each, token) => sum + each * Math.log(each / (q[token] as number)), 0);
      kl += own / IDS.length;
      assertNear((compared.tokens[i + 1]?.kl_nats ?? compared.next.kl_nats) as number, own, `KL ${i}`);
    }
    assertNear(compared.kl_nats, kl, "mean KL");
    assert.ok(kl > 1e-4, "the bundle does something");
  });
}

test("changes of stages act on the edited side alone, as in a session", async () => {
  const { model, bundle } = opened.get(FOLDERS[0] as string) as Opened;
  const edited = model.with([bundle]);
  const [id = ""] = edited.stages.map((stage) => stage.id);
  const off = await edited.compareTokens(IDS, { changes: { [id]: { strength: 0 } } });
  assert.is(off.kl_nats, 0);
  const twice = await edited.compareTokens(IDS, { changes: new Map([[id, { strength: 2 }]]) });
  const composed = await model.with([bundle], { strengths: { [id]: 2 } }).compareTokens(IDS);
  assert.equal(twice, composed);
  assert.is(await codeOf(() => edited.compareTokens(IDS, { changes: { nothing: {} } })), "usage");
  assert.is(await codeOf(() => model.compareTokens(IDS)), "usage");
});

test("the lens equals transformers' hidden states, normed and through the head", async () => {
  const expected = await readJson<{
    readonly ids: number[];
    readonly layers: readonly {
      readonly tokens: number[][];
      readonly probabilities: number[][];
      readonly entropy_nats: number[];
    }[];
  }>("test/data/lens.json");
  const { layers } = await stories.lens(expected.ids);
  assert.is(layers.length, expected.layers.length);
  for (const [l, { site, cells }] of layers.entries()) {
    for (const [i, { top, entropy_nats }] of cells.entries()) {
      const row = expected.layers[l];
      assert.equal(
        top.map(({ token }) => token),
        row?.tokens[i],
        `${site}, token ${i}`,
      );
      top.forEach(({ probability }, k) => assertNear(probability, row?.probabilities[i]?.[k] as number, site));
      assertNear(entropy_nats, row?.entropy_nats[i] as number, site);
    }
  }
});

test("texts join to the text that was read, and a token of no text has none", async () => {
  const lens = await stories.lens("Once upon a time", { top: 1 });
  assert.is(lens.texts?.join(""), "<s> Once upon a time");
  assert.is(lens.layers.at(-1)?.cells.at(-1)?.top[0]?.text, ",");
  const { model } = opened.get(FOLDERS[0] as string) as Opened;
  assert.is((await model.lens(IDS)).texts, null);
});

test("a layer or token that the model does not have is refused", async () => {
  assert.is(await codeOf(() => stories.lens([1], { layers: [5] })), "usage");
  assert.is(await codeOf(() => stories.lens([1], { asked: [512] })), "bad_tokens");
  assert.is(await codeOf(() => stories.lens([])), "usage");
});

test.run();
