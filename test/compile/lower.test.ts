/** Plans of the golden models, without a device. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { buildGraph } from "../../src/architectures/build.ts";
import { readConfig } from "../../src/architectures/read-config.ts";
import { fuse } from "../../src/compile/fuse.ts";
import { lower } from "../../src/compile/lower.ts";
import { allDispatches, kernelsIn, type Plan } from "../../src/compile/plan.ts";
import { WeightLayout } from "../../src/compile/weight-layout.ts";
import type { SluiceError } from "../../src/errors.ts";
import { openCheckpoint } from "../../src/formats/huggingface.ts";
import { openSource } from "../../src/formats/open-source.ts";
import { readJson } from "../../src/formats/source.ts";
import { interfaceOf } from "../../src/kernels/interface.ts";
import { location } from "../support/files.ts";

const GUARANTEED = { maxBufferSize: 256 << 20, maxStorageBufferBindingSize: 128 << 20 };

async function planOf(folder: string, limits = GUARANTEED, captures: readonly string[] = []): Promise<Plan> {
  const source = await openSource(location(folder));
  try {
    const config = readConfig(await readJson(source, "config.json"), "config.json");
    const checkpoint = await openCheckpoint(source);
    const graph = buildGraph(config, checkpoint);
    const ops = fuse(graph);
    const options = { family: "register", reference: false, sequences: 1, capacity: 11, captures, ...limits } as const;
    return lower(graph, ops, new WeightLayout(ops, checkpoint, limits), options);
  } finally {
    await source.close();
  }
}

for (const folder of ["test/golden/gpt2-tiny", "test/golden/llama-tiny", "weights/gpt-nano-sort"]) {
  test(`${folder}: seven dispatches a layer and five around them`, async () => {
    const { body, finalNorm, head, tails, layers } = await planOf(folder);
    assert.is(body.length, 7 * layers + 1);
    assert.is(body.length + finalNorm.length + head.length + tails.greedy.length, 7 * layers + 5);
  });

  test(`${folder}: no dispatch reads a buffer that it writes, and none has more than 8 storage buffers`, async () => {
    for (const { label, candidates, bind } of allDispatches(await planOf(folder))) {
      for (const kernel of kernelsIn({ candidates })) {
        const roles = { read: new Set<string>(), read_write: new Set<string>() };
        for (const { name, access } of (await interfaceOf(kernel)).bindings) {
          if (access !== "args") roles[access].add(JSON.stringify(bind[name]));
        }
        assert.ok(roles.read.size + roles.read_write.size <= 8, label);
        for (const role of roles.read_write) assert.not.ok(roles.read.has(role), `${label}: ${role}`);
      }
    }
  });
}

test("captures add taps and nothing else", async () => {
  const plain = await planOf("test/golden/llama-tiny");
  const captured = await planOf("test/golden/llama-tiny", GUARANTEED, ["mlp_post.1", "resid_post.2"]);
  assert.equal(
    captured.body.map(({ label }) => label),
    plain.body.map(({ label }) => label),
  );
  const changed = captured.body.filter(
    ({ candidates }, i) => candidates[0]?.kernel.name !== plain.body[i]?.candidates[0]?.kernel.name,
  );
  assert.equal(
    changed.map(({ label }) => label),
    ["blocks.1.mlp.gate_up"],
  );
});

test("matrices beyond the binding limit are split by strips, and what cannot be split is refused by the limit's name", async () => {
  const plan = await planOf("test/golden/gpt2-tiny", { maxBufferSize: 1 << 20, maxStorageBufferBindingSize: 16 << 10 });
  assert.ok(plan.head.length > 1);
  assert.is(plan.body.filter(({ label }) => label.startsWith("embed")).length, plan.head.length);
  const refusals = [
    [256, /binds at most 256/],
    // The table of positions takes 12 KiB and is bound whole.
    [9 << 10, /wpe\.weight.*exceeds/],
  ] as const;
  for (const [maxStorageBufferBindingSize, message] of refusals) {
    let refusal: SluiceError | undefined;
    try {
      await planOf("test/golden/gpt2-tiny", { maxBufferSize: 1 << 20, maxStorageBufferBindingSize });
    } catch (error) {
      refusal = error as SluiceError;
    }
    assert.is(refusal?.code, "device_limit");
    assert.match(refusal?.message ?? "", message);
  }
});

test.run();
