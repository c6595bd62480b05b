/** A running batch: each request has the bits that it has alone, whatever joins, leaves or is aborted beside it. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { logitsOf } from "../../src/compile/plan.ts";
import type { Batch, GeneratedToken, GenerateOptions, Model } from "../../src/index.ts";
import type { Stage } from "../../src/interventions/stage.ts";
import { Executor } from "../../src/runtime/executor.ts";
import type { Run } from "../../src/runtime/run.ts";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";
import { codeOf } from "../support/refusal-code.ts";
import { pushStage } from "../support/stages.ts";

const stories = () => load(location("weights/stories260K"), { plan: "reference" });

/** Numbers in [0, 1) by a seed. */
function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Wanted {
  readonly prompt: readonly number[];
  readonly options: GenerateOptions;
  /** It is aborted, or no longer iterated, after that many tokens. */
  readonly leavesAfter: number | undefined;
  /** It comes when the batch has made that many tokens. */
  readonly comesAt: number;
}

function wantedBy(next: () => number): Wanted {
  const whole = (most: number) => Math.floor(next() * most);
  // Few beginnings, so that prefixes are shared.
  const prompt = [
    1,
    ...Array.from({ length: whole(3) * 8 }, (_, i) => 300 + (i % 5)),
    ...Array.from({ length: whole(9) }, () => 270 + whole(3)),
  ];
  return {
    prompt,
    options: {
      maxNewTokens: 1 + whole(24),
      ...(next() < 0.5 && {
        temperature: 0.5 + next(),
        seed: whole(1000),
        topK: whole(40),
        repetitionPenalty: 1 + next(),
      }),
      // Made of all logits, so that a bit of any of them shows.
      ...(next() < 0.7 && { topLogprobs: 20 }),
      ...(next() < 0.3 && { stopTokens: [300 + whole(100), 13 + whole(100)] }),
    },
    leavesAfter: next() < 0.25 ? whole(6) : undefined,
    comesAt: whole(40),
  };
}

/** A token, and if they are wanted its log probability and those of the likeliest. */
interface Step {
  readonly token: number;
  readonly logprobs: GeneratedToken["logprobs"] | undefined;
}

/** Runs requests as they come; the tokens of each, as far as it got. */
async function schedule(batch: Batch, all: readonly Wanted[]): Promise<readonly (readonly Step[])[]> {
  let made = 0;
  let waiters: (() => void)[] = [];
  const made$ = (count: number): Promise<void> =>
    made >= count || batch.stats.running + batch.stats.waiting === 0
      ? Promise.resolve()
      : new Promise<void>((resolve) => waiters.push(resolve)).then(() => made$(count));
  const wake = (): void => {
    const woken = waiters;
    waiters = [];
    for (const each of woken) each();
  };
  return Promise.all(
    all.map(async ({ prompt, options, leavesAfter, comesAt }, i) => {
      await made$(comesAt);
      const abort = new AbortController();
      const tokens: Step[] = [];
      try {
        for await (const { token, logprobs } of batch.generate(prompt, { ...options, signal: abort.signal })) {
          tokens.push({ token, logprobs });
          made++;
          wake();
          if (leavesAfter === undefined || tokens.length <= leavesAfter) continue;
          if (i % 2 === 0) break;
          abort.abort();
        }
      } catch (error) {
        if (!abort.signal.aborted) throw error;
      } finally {
        wake();
      }
      return tokens;
    }),
  );
}

async function checkSchedule(model: Model, batch: Batch, seed: number): Promise<void> {
  const next = random(seed);
  const all = Array.from({ length: 12 }, () => wantedBy(next));
  const got = await schedule(batch, all);
  for (const [i, { prompt, options, leavesAfter }] of all.entries()) {
    const steps: Step[] = [];
    for await (const { token, logprobs } of model.generate(prompt, options)) steps.push({ token, logprobs });
    const known = got[i] as readonly Step[];
    if (leavesAfter === undefined) assert.equal(known, steps, `seed ${seed}, request ${i}`);
    else assert.equal(known, steps.slice(0, known.length), `seed ${seed}, request ${i}, which left`);
  }
}

test("random schedules: ids and log probabilities are those of the request alone, bit for bit", async () => {
  const model = await stories();
  const batch = await model.batch({ sequences: 4, context: 64, prefillRows: 5 });
  for (const seed of [1, 2]) await checkSchedule(model, batch, seed);
  const { running, waiting, slots, slots_used } = batch.stats;
  assert.equal([running, waiting], [0, 0]);
  assert.ok(slots_used <= slots);
  batch.dispose();
  model.dispose();
});

/** Runs something, and collects the logits of the last step of each submit meanwhile: a row per sequence that draws. */
async function logitsDuring(run: () => Promise<unknown>): Promise<readonly Float32Array[]> {
  const rows: Float32Array[] = [];
  const submit = Executor.prototype.submit;
  Executor.prototype.submit = async function (this: Executor, wanted: Run) {
    const { stride } = logitsOf(this.activePlan);
    const count = wanted.steps.at(-1)?.outs.length ?? 0;
    const logits = { role: { role: "logits" }, offset: 0, byteLength: count * stride * 4 } as const;
    const { bytes } = await submit.call(this, { ...wanted, reads: [...wanted.reads, logits] });
    return {
      async bytes() {
        const all = await bytes();
        for (let i = 0; i < count; i++) rows.push(new Float32Array(all.at(-1) as ArrayBuffer, i * stride * 4, stride));
        return all;
      },
    };
  };
  try {
    await run();
  } finally {
    Executor.prototype.submit = submit;
  }
  return rows;
}

test("logits of every step are those of the request alone, bit for bit, with joins, leaves and aborts", async () => {
  const model = await stories();
  const batch = await model.batch({ sequences: 4, context: 64, prefillRows: 5 });
  const next = random(7);
  const all = Array.from({ length: 10 }, (): Wanted => {
    const { prompt, leavesAfter, comesAt } = wantedBy(next);
    return { prompt, leavesAfter, comesAt, options: { maxNewTokens: 12, stopTokens: [] } };
  });
  assert.ok(all.some(({ leavesAfter }) => leavesAfter !== undefined));
  const seen = await logitsDuring(() => schedule(batch, all));
  const bitsOf = ({ buffer, byteOffset, length }: Float32Array): string =>
    new Uint32Array(buffer, byteOffset, length).join();
  const known = new Set<string>();
  for (const { prompt, options } of all) {
    const { tokens } = await model.generate(prompt, options).result();
    const { data } = await model.logits([...prompt, ...tokens]);
    const { vocab_size } = model.config;
    for (let at = 0; at < data.length; at += vocab_size) known.add(bitsOf(data.subarray(at, at + vocab_size)));
  }
  assert.ok(seen.length > 50, `${seen.length} rows`);
  for (const [i, row] of seen.entries()) assert.ok(known.has(bitsOf(row)), `row ${i} of ${seen.length}`);
  batch.dispose();
  model.dispose();
});

test("prefixes are shared by requests that run, and kept of those that ended", async () => {
  const model = await stories();
  const batch = await model.batch({ sequences: 3, context: 64 });
  const prompt = [1, 403, 407, 261, 378, 300, 301];
  const samples = await batch.generate(prompt, { samples: 3, temperature: 1, seed: 5, maxNewTokens: 4 }).results();
  assert.equal(
    samples.map(({ reused_tokens }) => reused_tokens),
    [0, 6, 6],
  );
  assert.is(batch.stats.prefill_tokens, 7 + 1 + 1);
  const turn = [...prompt, ...(samples[1]?.tokens ?? []), 265];
  const next = await batch.generate(turn, { maxNewTokens: 4 }).result();
  assert.is(next.reused_tokens, prompt.length + 3);
  assert.equal(next.tokens, (await model.generate(turn, { maxNewTokens: 4 }).result()).tokens);
  batch.dispose();
  model.dispose();
});

test("requests that come together share all their steps", async () => {
  const model = await stories();
  const batch = await model.batch({ sequences: 3, context: 64 });
  const options = { maxNewTokens: 6, stopTokens: [] };
  await Promise.all([403, 404, 405].map((id) => batch.generate([1, id], options).result()));
  assert.is(batch.stats.steps, 6);
  batch.dispose();
  model.dispose();
});

test("a long prompt delays others by a stated number of rows", async () => {
  const model = await stories();
  const batch = await model.batch({ sequences: 2, context: 128, prefillRows: 4 });
  const short = batch.generate([1, 403], { maxNewTokens: 100, stopTokens: [] });
  let seen = 0;
  let other: Promise<unknown> | undefined;
  for await (const _ of short) {
    if (++seen !== 2) continue;
    other = batch
      .generate(
        Array.from({ length: 80 }, (_, i) => 300 + (i % 7)),
        { maxNewTokens: 1 },
      )
      .result();
    break;
  }
  await other;
  const { rows, steps } = batch.stats;
  assert.ok(rows <= steps * (4 + 1), `${rows} rows in ${steps} steps`);
  batch.dispose();
  model.dispose();
});

test("who leaves frees the sequence at once; who finds the queue full is told", async () => {
  const model = await stories();
  const batch = await model.batch({ sequences: 1, context: 64, maxQueue: 1 });
  const long = { maxNewTokens: 50, stopTokens: [] };
  const abort = new AbortController();
  const first = batch.generate([1, 403], { ...long, signal: abort.signal }).result();
  const second = batch.generate([1, 404], { maxNewTokens: 2 }).result();
  assert.is(await codeOf(() => batch.generate([1, 405], long).result()), "busy");
  assert.equal([batch.stats.running + batch.stats.waiting], [2]);
  abort.abort();
  assert.is(await codeOf(() => first), "aborted");
  assert.is((await second).tokens.length, 2);
  const third = batch.generate([1, 406], long).result();
  batch.dispose();
  assert.is(await codeOf(() => third), "usage");
  assert.is(await codeOf(async () => batch.generate([1])), "usage");
  model.dispose();
});

test("values that leave float32 end their own request", async () => {
  const plain = await load(location("test/golden/gpt2-tiny"), { plan: "reference" });
  const push = pushStage(new Float32Array(48).fill(3e38));
  const model = plain.withStages({ stages: [{ ...push, positions: { tokens: [77] } } as Stage], warnings: [] });
  const batch = await model.batch({ sequences: 2, context: 32 });
  const options = { maxNewTokens: 8, stopTokens: [] };
  const spoilt = batch.generate([65, 77], options).result();
  const sound = batch.generate([65, 7, 28], options).result();
  assert.is(await codeOf(() => spoilt), "non_finite");
  assert.equal((await sound).tokens, (await plain.generate([65, 7, 28], options).result()).tokens);
  // What it left behind serves nobody.
  const next = await batch.generate([65, 7], options).result();
  assert.equal(next.tokens, (await plain.generate([65, 7], options).result()).tokens);
  batch.dispose();
  plain.dispose();
});

test("more sequences than a step has rows: in a batch, and in a session", async () => {
  const model = await load(location("weights/gpt-nano-sort"), { plan: "reference" });
  const options = { maxNewTokens: 3, stopTokens: [] };
  const prompts = Array.from({ length: 27 }, (_, i) => [i % 3, Math.floor(i / 3) % 3, Math.floor(i / 9)]);
  const alone = (await model.generateBatch(prompts, options)).map(({ tokens }) => tokens);
  const many = Array.from({ length: 300 }, (_, i) => i % 27);
  const wanted = many.map((i) => alone[i]);
  const session = await model.generateBatch(
    many.map((i) => prompts[i] as number[]),
    options,
  );
  assert.equal(
    session.map(({ tokens }) => tokens),
    wanted,
  );
  const batch = await model.batch({ sequences: 300, context: 6, prefillRows: 200 });
  const results = await Promise.all(many.map((i) => batch.generate(prompts[i] as number[], options).result()));
  assert.equal(
    results.map(({ tokens }) => tokens),
    wanted,
  );
  batch.dispose();
  model.dispose();
});

test.run();
