/** generation_config.json: what ends a text, and the settings it recommends. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadGenerationConfig, readGenerationConfig } from "../../src/architectures/generation-config.ts";
import { readConfig } from "../../src/architectures/read-config.ts";
import { openSource } from "../../src/formats/open-source.ts";

function read(json: unknown) {
  const notices: string[] = [];
  return { ...readGenerationConfig(json, "generation_config.json", 131, (line) => notices.push(line)), notices };
}
const defaults = (json: unknown) => read(json).defaults;

test("stop ids: one, several, none of its own, and those beyond the vocabulary", () => {
  assert.equal(read({ eos_token_id: [1, 2], bos_token_id: 1 }).eos_token_ids, [1, 2]);
  assert.equal(read({ eos_token_id: 0 }).eos_token_ids, [0]);
  assert.equal(read({ eos_token_id: [] }).eos_token_ids, []);
  assert.is(read({ eos_token_id: null }).eos_token_ids, null);
  assert.is(read({ temperature: 0.7 }).eos_token_ids, null);
  assert.equal(read({ eos_token_id: [131, 3] }).eos_token_ids, [3]);
  const beyond = read({ eos_token_id: 131 });
  assert.is(beyond.eos_token_ids, null);
  assert.match(beyond.notices.join(), /eos_token_id holds 131/);
});

test("sampling: transformers' defaults for settings not given", () => {
  assert.equal(defaults({ do_sample: true }), { temperature: 1, topK: 50 });
  assert.equal(defaults({ do_sample: true, temperature: 0.7, top_p: 0.8, top_k: 20, repetition_penalty: 1.05 }), {
    temperature: 0.7,
    topK: 20,
    topP: 0.8,
    repetitionPenalty: 1.05,
  });
  assert.equal(defaults({ do_sample: true, top_k: 0, min_p: 0.1 }), { temperature: 1, topK: 0, minP: 0.1 });
  assert.equal(defaults({ do_sample: true, top_k: -1 }), { temperature: 1, topK: 0 });
  assert.equal(defaults({ temperature: 0.6, top_p: 0.9 }), { temperature: 0.6, topK: 50, topP: 0.9 });
});

test("what does not sample, and what says nothing", () => {
  assert.equal(defaults({ do_sample: false, temperature: 0.6, top_p: 0.9 }), { temperature: 0 });
  assert.equal(defaults({ do_sample: false, repetition_penalty: 1.2 }), { temperature: 0, repetitionPenalty: 1.2 });
  assert.equal(defaults({ bos_token_id: 1, max_length: 512, transformers_version: "5" }), {});
});

test("lengths and stop texts", () => {
  assert.equal(defaults({ max_new_tokens: 60, stop_strings: "END" }), { maxNewTokens: 60, stop: ["END"] });
  assert.equal(defaults({ stop_strings: ["a", "", 5, "b"] }), { stop: ["a", "b"] });
});

test("values that cannot be are left out with a notice", () => {
  const odd = {
    do_sample: true,
    temperature: -1,
    top_p: Number.NaN,
    top_k: 1.5,
    min_p: "0.1",
    repetition_penalty: 0,
    max_new_tokens: 0,
  };
  const { defaults: settled, notices } = read(odd);
  assert.equal(settled, { temperature: 1, topK: 50 });
  assert.is(notices.length, 6);
  assert.match(notices.join(), /top_p NaN/);
  const loose = read({ do_sample: "yes", top_p: 0.9, stop_strings: [7, "a"] });
  assert.equal(loose.defaults, { temperature: 1, topK: 50, topP: 0.9, stop: ["a"] });
  assert.match(loose.notices.join(), /stop_strings 7 is ignored.*do_sample "yes" is ignored/);
  const many = read({ stop_strings: Array.from({ length: 60_000 }, (_, i) => `${i}.`) });
  assert.equal(many.defaults, {});
  assert.match(many.notices.join(), /stop_strings is ignored: it holds more than/);
});

test("a file that cannot be read does not keep the model from running", async () => {
  const config = readConfig({ model_type: "gpt2" }, "config.json");
  for (const content of ["{", "[]", `{"eos_token_id":${"[".repeat(5000)}${"]".repeat(5000)}}`]) {
    const notices: string[] = [];
    const files = await openSource([new File([content], "generation_config.json")]);
    const read = await loadGenerationConfig(files, config, (line) => notices.push(line));
    assert.equal(read, { eos_token_ids: null, defaults: {} });
    assert.match(notices.join(), /generation_config\.json.*without/s);
  }
});

test.run();
