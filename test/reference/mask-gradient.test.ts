/** Loss and mask gradients of the reference against the golden ones: a spread of edges of every case. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseSafetensors, toFloat32 } from "../../src/formats/safetensors.ts";
import { listSources } from "../../src/interventions/edges.ts";
import type { Composition, EdgeMaskStage } from "../../src/interventions/stage.ts";
import { location, readBytes, readJson } from "../support/files.ts";
import { myTurns } from "../support/turns.ts";
import { maskedEdges, maskGradient, referenceLoss } from "./loss.ts";
import { openReference } from "./open.ts";

type GradientCase = Pick<EdgeMaskStage, "destinations" | "attn_bias"> & {
  readonly case: string;
  readonly tokens: readonly number[];
  readonly expected: string;
};

/** Of each case so many edges, evenly spread over destinations and sources: one costs two forward passes. */
const EDGES = 12;

// No device takes part: it is the same arithmetic in Node and in a page.
for (const name of myTurns(["gpt2-tiny", "llama-tiny", "llama3-tiny"])) {
  const folder = `test/golden/${name}`;

  test(`${name}: loss and its gradient with respect to the mask`, async () => {
    const model = await openReference(location(folder));
    const cases = await readJson<GradientCase[]>(`${folder}/cases.json`);
    for (const golden of cases.filter((entry) => entry.case.startsWith("mask-gradient"))) {
      const { tensors } = parseSafetensors(await readBytes(`${folder}/${golden.expected}`));
      const [mask, constants, gradient, loss] = ["mask", "constants", "gradient", "loss"].map((tensor) =>
        toFloat32(tensors.get(tensor) as Parameters<typeof toFloat32>[0]),
      ) as [Float32Array, Float32Array, Float32Array, Float32Array];
      const { destinations, attn_bias, tokens } = golden;
      const edges = maskedEdges(model.config, destinations, mask);
      const replace = { attn: "constants", mlp: "constants", logits: "constants" } as const;
      const composition: Composition = {
        stages: [{ id: "e", kind: "edge_mask", strength: 1, destinations, attn_bias, replace, edges, constants }],
        warnings: [],
      };
      const difference = Math.abs(referenceLoss(model, composition, { tokens }) - (loss[0] as number));
      assert.ok(difference < 1e-6, `${golden.case}: loss off by ${difference}`);

      const chosen = Array.from({ length: EDGES }, (_, i) => Math.floor(((i + 0.5) * edges.length) / EDGES));
      const actual = maskGradient(model, composition, { tokens }, chosen);
      const scale = gradient.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const sources = listSources(model.config).length;
      for (const [i, index] of chosen.entries()) {
        const { destination, source } = edges[index] as (typeof edges)[number];
        const expected = gradient[destination * sources + source] as number;
        const off = Math.abs((actual[i] as number) - expected);
        assert.ok(off <= 1e-3 * scale, `${golden.case}: edge ${source} to ${destination} off by ${off}, of ${scale}`);
      }
    }
  });
}

test.run();
