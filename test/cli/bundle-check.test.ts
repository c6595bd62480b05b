/** bundle check on a device: the checks that hold, those that do not, and bundles of other models. */
import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Bundle, writeBundle } from "../../src/index.ts";
import { bundleOf, filled } from "../interventions/model-configs.ts";
import { location, readBytes } from "../support/files.ts";
import { load } from "../support/load.ts";
import { runReal } from "./real-library.ts";

const MODEL = location("weights/stories260K");

/** Progress shows where something takes seconds, as on a machine that is busy: no test here is about it. */
const PROGRESS = /^sluice: [a-z ]+ \d+ of \d+ .*\n/gm;

async function run(...argv: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const { code, stdout: out, stderr } = await runReal(argv);
  return { code, out, err: stderr.replace(PROGRESS, "") };
}

let folder: string;
let path: string;
/** Pushes tokens after the prompt, at half strength. */
let make: (extra: Readonly<Record<string, unknown>>) => Bundle;
/** Of the bundle at its own strength: the highest at the last of `tokens`. */
let top: (readonly [token: number, logit: number])[];
const tokens = [1, 403, 407];

test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-check-"));
  path = join(folder, "b.safetensors");
  const model = await load(MODEL);
  try {
    const stage = {
      id: "push",
      kind: "affine",
      method: "addition",
      site: "resid_post",
      layers: [1],
      strength: 0.5,
      positions: "generated",
    };
    const tensors = { "push.1.direction": filled([model.config.hidden_size], 2) };
    make = (extra) => bundleOf(model.config, [stage], tensors, extra);
    const { data } = await model.with([make({})]).logits(tokens, { last: true, promptLength: 2 });
    top = Array.from(data, (logit, token) => [token, logit] as const)
      .sort((a, b) => b[1] - a[1])
      .slice(0, 2);
  } finally {
    model.dispose();
  }
});
test.after(() => rm(folder, { recursive: true }));

const write = (extra: Readonly<Record<string, unknown>>) => writeFile(path, writeBundle(make(extra)));

test("checks that pass are listed with their logits", async () => {
  await write({ checks: [{ tokens, prompt_length: 2, top, atol: 0.002 }] });
  const { code, out, err } = await run("bundle", "check", path, MODEL);
  assert.is(code, 0, err);
  const lines = out.split("\n");
  assert.is(lines[0], "✓ check 1: logits after 3 tokens, 2 of them the prompt's, each within 0.002");
  assert.match(lines[1] ?? "", /^ +id {2}token +expected +here {2}off by$/);
  top.forEach(([token, logit], i) => {
    assert.match(
      lines[2 + i] ?? "",
      new RegExp(`^ +${token} {2}".*" +${logit.toFixed(4)} +${logit.toFixed(4)} {2}[+−0]`),
    );
  });
  assert.is(lines[5], "It fits the model, and does here what its maker saw.");
});

test("a failed check is shown with its logits, and the command ends with 1", async () => {
  const [first = [0, 0], second = [0, 0]] = top;
  const wrong = [first, [second[0], second[1] + 0.5]];
  // Without P the stage has nothing to act on, so the logits are others.
  const checks = [
    { tokens, prompt_length: 2, top, atol: 0.002 },
    { tokens, prompt_length: 2, top: wrong, atol: 0.002 },
    { tokens, top, atol: 0.002 },
  ];
  await write({ checks });
  const { code, out, err } = await run("bundle", "check", path, MODEL);
  assert.is(code, 1);
  assert.match(
    out,
    /^✓ check 1[\s\S]*^✘ check 2[\s\S]*−0\.50 {2}✘\n[\s\S]*^✘ check 3: logits after 3 tokens, each within/m,
  );
  assert.not.match(out, /does here what its maker saw/);
  assert.match(err, /2 of 3 checks of .*b\.safetensors failed on this device/);
  const json = await run("bundle", "check", path, MODEL, "--json");
  assert.is(json.code, 1);
  const { fits, passed, checks: results } = JSON.parse(json.out);
  assert.equal(
    [fits, passed, results.map((each: { passed: boolean }) => each.passed)],
    [true, false, [true, false, false]],
  );
});

test("a bundle without checks, and one for another model", async () => {
  await write({});
  const { code, out } = await run("bundle", "check", path, MODEL);
  assert.is(code, 0);
  assert.is(out, "It fits the model. It has no checks of its own to run.\n");
  const other = await run("bundle", "check", path, location("test/golden/gpt2-tiny"));
  assert.is(other.code, 1);
  assert.match(other.err, /base\.model_type is "llama", but the model's is "gpt2"/);
});

test("a bundle that is sealed here passes here, and one that is composed with the model at hand is sealed", async () => {
  await write({ checks: [{ tokens, top: [[1, 99]], atol: 0.002 }] });
  const sealed = await run("bundle", "seal", path, MODEL);
  assert.is(sealed.out, `${path}: 3 checks, in place of 1\n`, sealed.err);
  const { code, out } = await run("bundle", "check", path, MODEL);
  assert.is(code, 0, out);
  assert.match(out, /^✓ check 3: /m);
  const both = join(folder, "both.safetensors");
  const line = ["bundle", "compose", path, `${path}:as=again`, "--out", both];
  const bare = await run(...line);
  assert.match(bare.err, /has no checks; sluice bundle seal/);
  assert.match((await run("bundle", "check", both, MODEL)).out, /no checks of its own/);
  assert.is((await run(...line, "--model", MODEL)).err, "");
  assert.match((await run("bundle", "check", both, MODEL)).out, /^✓ check 3: /m);
});

test("what is imported for a model at hand has checks", async () => {
  const csv = join(folder, "neurons.csv");
  await writeFile(csv, "layer_idx,neuron_idx,assigned_value\n0,1,0.5\n2,7,-3\n");
  const line = ["bundle", "import", csv, MODEL, "--out", path];
  assert.is((await run(...line)).err, "");
  assert.match((await run("bundle", "check", path, MODEL)).out, /^✓ check 3: /m);
  assert.is((await run(...line, "--no-checks")).err, "");
  assert.match((await run("bundle", "check", path, MODEL)).out, /no checks of its own/);
});

test("other weights than the bundle was made for are a warning; the same ones are none", async () => {
  const { manifest } = make({});
  const digest = createHash("sha256")
    .update(await readBytes("weights/stories260K/model.safetensors"))
    .digest("hex");
  for (const [weights_sha256, warned] of [[digest.toUpperCase(), false] as const, ["0".repeat(64), true] as const]) {
    await write({ base: { ...manifest.base, weights_sha256 } });
    const { code, err } = await run("bundle", "check", path, MODEL);
    assert.is(code, 0, err);
    assert.is(err.includes("base.weights_sha256"), warned, err);
  }
});

test.run();
