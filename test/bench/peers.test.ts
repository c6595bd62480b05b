/** The parts of `npm run bench` that need no peer: the table, the agreement, the ratios, and the GGUF it writes. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Lane, Run } from "../../bench/peers/lane.ts";
import { logSoftmax } from "../../bench/peers/lane.ts";
import { type LaneResult, measureLanes, type Opened } from "../../bench/peers/measure.ts";
import { readCheckpoint, transpose } from "../../bench/peers/models/checkpoint.ts";
import { writeGguf } from "../../bench/peers/models/gguf.ts";
import { tokensOfText, tokenText } from "../../bench/peers/models/token-text.ts";
import type { Engine } from "../../bench/peers/peers.ts";
import { reportPage, table } from "../../bench/peers/report.ts";
import { parseGguf } from "../../src/formats/gguf/whole-file.ts";
import { toFloat32 } from "../../src/formats/safetensors.ts";
import { root } from "../run-files.ts";

/** A lane whose every run takes the same times. */
function lane(engine: Engine, times: Omit<Run, "tokens">, tokens: readonly number[]): Opened {
  const self: Lane = {
    device: null,
    generate: async (_, newTokens) => ({ ...times, tokens: tokens.slice(0, newTokens) }),
    logProbabilities: async () => logSoftmax([tokens[0] ?? 0, 2, 3]),
  };
  const spec = { engine, host: "Node" as const, device: "SwiftShader", options: { threads: 1 } };
  return { spec, version: "1.2.3", lane: { ...self, close: async () => undefined } };
}

const plan = { prompt: [1, 2, 3, 4], newTokens: 6, rounds: 3, turnSeconds: 1, onProgress: () => undefined };

test("a peer's ratio is its time over Sluice's, and its ids are counted until the first that differs", async () => {
  const results = await measureLanes(
    [
      lane("sluice", { prefill_ms: 10, decode_ms: 2 }, [1, 2, 3, 4, 5, 6]),
      lane("onnxruntime-node", { prefill_ms: 30, decode_ms: 20 }, [1, 2, 3, 9, 5, 6]),
    ],
    plan,
  );
  const [own, peer] = results as [LaneResult, LaneResult];
  assert.is(own.decode_ratio, undefined);
  assert.equal(own.decode_tokens_per_s?.median, 500);
  assert.equal(peer.prefill_ratio, { median: 3, interval: [3, 3] });
  assert.equal(peer.decode_ratio, { median: 10, interval: [10, 10] });
  assert.equal(peer.agreement, { same_tokens: 3, of: 6, log_probability_difference: 0 });
});

test("a slow peer decodes fewer tokens, and one that fails does not affect the others", async () => {
  const slow = lane("onnxruntime-node", { prefill_ms: 100, decode_ms: 400 }, [1, 2, 3, 4, 5, 6]);
  const broken = lane("node-llama-cpp", { prefill_ms: 1, decode_ms: 1 }, []);
  const failing = { ...broken.lane, generate: () => Promise.reject(new Error("no such shader")) };
  const own = lane("sluice", { prefill_ms: 10, decode_ms: 2 }, [1, 2, 3, 4, 5, 6]);
  const results = await measureLanes([own, slow, { ...broken, lane: failing }], plan);
  assert.equal(
    results.map(({ status, new_tokens, problem }) => [status, new_tokens, problem]),
    [
      ["measured", 6, undefined],
      ["measured", 3, undefined],
      ["failed", undefined, "no such shader"],
    ],
  );
});

test("the page names what is not installed and why something failed", () => {
  const base = { engine: "wllama", host: "Chromium", device: "CPU", reported_device: null };
  const page = reportPage([
    {
      date: "2026-01-02",
      command: "npm run bench",
      commit: "abc1234",
      machine: { cpu: "Some CPU", cores: 2, load_before: 0.5, load_after: 1 },
      node: "20.0.0",
      chromium: "147",
      models: [
        {
          name: "tiny",
          description: "A tiny one",
          prompt_tokens: 64,
          new_tokens: 16,
          rounds: 5,
          lanes: [
            { ...base, version: null, status: "not installed" },
            { ...base, version: "3.0.0", status: "failed", problem: "out of | memory" },
          ],
        },
      ],
    },
  ]);
  assert.match(page, /\| Chromium \| wllama +\| CPU +\| not installed +\|/);
  assert.match(page, /\| Chromium \| wllama 3\.0\.0 \| CPU +\| failed +\|/);
  assert.match(page, "- wllama in Chromium on CPU failed: out of | memory");
  assert.match(page, "says nothing about a real GPU");
});

test("cells cannot break a table", () => {
  assert.is(table(["a", "b"], [["x|y", "1\n2"]]), "| a    | b   |\n| ---- | --- |\n| x\\|y | 1 2 |");
});

test("texts of the made-up vocabulary are read back as their ids", () => {
  assert.equal(tokensOfText([0, 13, 8191].map(tokenText).join("")), [0, 13, 8191]);
});

test("a GPT-2 is written as GGUF with every tensor, linear weights one row per output", () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-gguf-"));
  try {
    const script = join(root, "scripts/make-synthetic.mjs");
    const flags = ["--shape", "gpt2-tiny", "--layers", "1", "--context", "16"];
    execFileSync(process.execPath, [script, folder, ...flags], { stdio: "ignore" });
    const checkpoint = readCheckpoint(folder);
    const path = join(folder, "model.gguf");
    writeGguf(path, checkpoint);
    const { metadata, tensors } = parseGguf(readFileSync(path), path);
    assert.is(metadata.get("general.architecture"), "gpt2");
    assert.is(metadata.get("gpt2.block_count"), 1);
    assert.is(metadata.get("gpt2.context_length"), 16);
    assert.is(tensors.size, 4 + 12);
    const up = tensors.get("blk.0.ffn_up.weight");
    assert.ok(up);
    const expected = transpose(checkpoint.tensor("h.0.mlp.c_fc.weight"));
    assert.equal(up.shape, expected.shape);
    assert.equal(toFloat32(up), expected.data);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
