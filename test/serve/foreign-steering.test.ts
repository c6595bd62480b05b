/** Requests for steering in the shapes of two other projects. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { toFloat32 } from "../../src/formats/safetensors.ts";
import type { Bundle } from "../../src/index.ts";
import { pushBundle, withServer } from "./node-open-server.ts";

/** A value of the direction that `pushBundle` adds. */
function directionAt({ tensors }: Bundle, index: number): number {
  const stored = tensors.get("push.1.direction");
  assert.ok(stored);
  return toFloat32(stored)[index] as number;
}

test("requests of EasySteer and Neuronpedia mean what they mean there, or are refused", async () => {
  const push = await pushBundle("push");
  const bundles = new Map([
    ["1-res-9", push],
    ["still", await pushBundle("still", 0)],
  ]);
  await withServer({ bundles }, async ({ server: { address }, model }) => {
    const prompt = "Once upon a time";
    const post = async (path: string, body: object) => {
      const headers = { "Content-Type": "application/json" };
      const answer = await fetch(`${address}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
      return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
    };
    const with6 = { strengths: { push: 6 } };
    const texts = async (positions?: "prompt" | "generated") => {
      const options = { ...with6, ...(positions && { positions: { push: positions } }) };
      return (await model.with([push], options).generate(prompt, { maxNewTokens: 8 }).result()).text;
    };
    const plain = (await model.generate(prompt, { maxNewTokens: 8 }).result()).text;
    const strong = await texts();

    const vector = { steer_vector_local_path: "/x/1-res-9.gguf", scale: 6, target_layers: [1] };
    const all = { prefill_trigger_tokens: [-1], generate_trigger_tokens: [-1] };
    const later = { source: "vectors/1-res-9.gguf", scale: 6, layers: [1], algorithm: "direct" };
    const easy = async (field: object) => {
      const { status, body } = await post("/v1/completions", { prompt, max_tokens: 8, temperature: 0, ...field });
      if (status !== 200) return status;
      return (body as unknown as { choices: { text: string }[] }).choices[0]?.text;
    };
    const numbered = { steer_vector_name: "happy", steer_vector_int_id: 1 };
    assert.equal(
      await Promise.all([
        easy({ steer_vector_request: { ...numbered, ...vector, ...all } }),
        easy({ steer_vector_request: { ...vector, generate_trigger_tokens: [-1] } }),
        easy({
          steer_vector_request: {
            ...numbered,
            conflict_resolution: "sequential",
            vector_configs: [{ path: "1-res-9.gguf", scale: 6 }, { path: "still.gguf" }],
          },
        }),
        easy({ steering: { vectors: [{ ...later, apply: { prompt: "all", generation: "all" } }] } }),
        easy({ steering: { vectors: [{ ...later, apply: { prompt: "all" } }] } }),
        easy({ steering: false }),
        easy({ steer_vector_request: { ...vector, target_layers: [2] } }),
        easy({ steer_vector_request: { ...vector, prefill_trigger_tokens: [5] } }),
        easy({ steering: { vectors: [later, later] } }),
        easy({ steering: { vectors: [{ ...later, normalize: true }] } }),
        easy({ steering: { vectors: [{ ...later, source: "other.gguf" }] } }),
      ]),
      [strong, await texts("generated"), strong, strong, await texts("prompt"), plain, 400, 400, 400, 400, 400],
    );

    const asked = { prompt, modelId: "stories260K", temperature: 0, n_tokens: 8, freq_penalty: 0, seed: 1 };
    const feature = { modelId: "stories260K", layer: "1-res", index: 9, strength: 2 };
    const steered = { STEERED: prompt + strong, DEFAULT: prompt + plain };
    const doubled = { ...asked, features: [feature], strength_multiplier: 3 };
    assert.equal(await post("/api/steer", doubled), { status: 200, body: steered });
    // A stream has the answer so far in each event, and no mark at its end.
    const streamed = await fetch(`${address}/api/steer`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ ...doubled, stream: true }),
    });
    const events = (await streamed.text()).trimEnd().split("\n\n");
    assert.equal(JSON.parse((events.at(-1) ?? "").slice("data: ".length)), steered);
    for (const event of events) {
      const { STEERED, DEFAULT } = JSON.parse(event.slice("data: ".length)) as Record<string, string | null>;
      assert.ok(steered.STEERED.startsWith(STEERED ?? "") && steered.DEFAULT.startsWith(DEFAULT ?? ""), event);
    }
    const { hidden_size } = model.config;
    const hook = {
      steering_vector: [...new Float32Array(hidden_size).map((_, i) => directionAt(push, i))],
      strength: 6,
    };
    const vectors = [{ ...hook, hook: "blocks.1.hook_resid_post" }];
    assert.equal(await post("/v1/steer/completion", { ...asked, types: ["STEERED"], vectors }), {
      status: 200,
      body: { outputs: [{ type: "STEERED", output: prompt + strong }] },
    });
    const refusals = [
      [{ ...asked, features: [{ ...feature, index: 8 }] }, "features[0]"],
      [{ ...doubled, freq_penalty: 1 }, "freq_penalty"],
      [{ ...doubled, steer_method: "ORTHOGONAL_DECOMP" }, "steer_method"],
      [{ ...doubled, vectors }, "features"],
    ] as const;
    for (const [body, param] of refusals) {
      const refused = await post("/api/steer", body);
      assert.is(refused.status, 400);
      assert.is((refused.body.error as { param: string }).param, param);
    }
    assert.is((await post("/api/steer", { ...doubled, modelId: "gemma-2b" })).status, 404);
  });
});

test.run();
