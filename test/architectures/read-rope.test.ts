/** The rotary embedding's settings in config.json. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Json, llama, llama3Scaling, read, readNoting, refused } from "./configs.ts";

test("RoPE: the old and the new spelling say the same", () => {
  const old = read({ ...llama, rope_theta: 500000, rope_scaling: llama3Scaling });
  const { rope_type, ...scaling } = llama3Scaling;
  assert.equal(old.rope, { rope_theta: 500000, scaling: llama3Scaling });
  assert.equal(read({ ...llama, rope_parameters: { ...llama3Scaling, rope_theta: 500000 } }), old);
  assert.equal(read({ ...llama, rope_theta: 500000, rope_scaling: { ...scaling, type: rope_type } }), old);
  assert.equal(
    read({
      ...llama,
      rope_theta: 500000,
      rope_scaling: llama3Scaling,
      rope_parameters: { ...llama3Scaling, rope_theta: 500000 },
    }),
    old,
  );
  const linear = { rope_theta: 10000, scaling: { rope_type: "linear", factor: 2 } };
  assert.equal(read({ ...llama, rope_scaling: { type: "linear", factor: 2 } }).rope, linear);
  assert.equal(read({ ...llama, rope_parameters: { rope_type: "linear", factor: 2 } }).rope, linear);
  assert.equal(read({ ...llama, rope_scaling: null, rope_parameters: { rope_type: "default", rope_theta: 7 } }).rope, {
    rope_theta: 7,
    scaling: { rope_type: "default" },
  });
});

test("RoPE: kinds that are not run are refused by name", async () => {
  for (const kind of ["su", "mrope", "axial", "LINEAR"]) {
    await refused(
      llama,
      { rope_scaling: { rope_type: kind, factor: 2 } },
      `rope_scaling.rope_type is "${kind}"`,
      "llama3",
    );
    await refused(llama, { rope_scaling: { type: kind, factor: 2 } }, `rope_scaling.type is "${kind}"`);
    await refused(llama, { rope_parameters: { rope_type: kind } }, `rope_parameters.rope_type is "${kind}"`);
  }
  await refused(
    llama,
    { rope_parameters: { full_attention: { rope_theta: 1 } } },
    "rope_parameters.full_attention",
    "layers",
  );
  await refused(llama, { partial_rotary_factor: 1.5 }, "partial_rotary_factor is 1.5");
  await refused(
    llama,
    { rope_parameters: { partial_rotary_factor: -0.25 } },
    "rope_parameters.partial_rotary_factor is -0.25",
  );
  assert.equal(read({ ...llama, partial_rotary_factor: 1 }), read(llama));
});

test("RoPE: settings that are missing, wrong or contradict one another", async () => {
  await refused(llama, { rope_theta: 0 }, "rope_theta is 0");
  await refused(llama, { rope_theta: "10000" }, 'rope_theta is "10000"');
  await refused(llama, { rope_scaling: "linear" }, 'rope_scaling is "linear"', "object");
  await refused(llama, { rope_scaling: { type: "linear" } }, "rope_scaling.factor is missing");
  await refused(llama, { rope_scaling: { type: "linear", factor: -1 } }, "rope_scaling.factor is -1");
  await refused(llama, { rope_scaling: { type: 5 } }, "rope_scaling.type is 5");
  for (const name of ["factor", "low_freq_factor", "high_freq_factor"]) {
    await refused(llama, { rope_scaling: { ...llama3Scaling, [name]: undefined } }, `rope_scaling.${name} is missing`);
  }
  await refused(
    llama,
    { rope_scaling: { ...llama3Scaling, high_freq_factor: 1 } },
    "high_freq_factor is 1",
    "low_freq_factor",
  );
  await refused(llama, { rope_scaling: { type: "yarn", factor: 2 }, rope_theta: 1 }, "rope_theta is 1", "yarn");
  await refused(llama, { rope_scaling: { type: "yarn", factor: 2, truncate: 1 } }, "rope_scaling.truncate is 1");
  const longrope = { type: "longrope", short_factor: [1, 1, 1, 1], long_factor: [1, 1, 1, 2] };
  await refused(llama, { rope_scaling: { ...longrope, short_factor: [1, 1, 1] } }, "short_factor", "4 numbers");
  await refused(llama, { rope_scaling: { ...longrope, long_factor: [1, 1, 1, 0] } }, "long_factor", "4 numbers");
  await refused(llama, { rope_scaling: { ...longrope, long_factor: undefined } }, "long_factor is missing");
  await refused(llama, { rope_theta: 5, rope_parameters: { rope_theta: 6 } }, "rope_theta is 5", "is 6 elsewhere");
  await refused(
    llama,
    { rope_scaling: { rope_type: "default", type: "linear", factor: 2 } },
    'rope_scaling.type is "linear"',
    '"default" elsewhere',
  );
  await refused(
    llama,
    { rope_parameters: { rope_type: "linear", factor: 2 }, rope_scaling: { type: "linear", factor: 4 } },
    "rope_scaling.factor is 4",
    "is 2 elsewhere",
  );
});

test("RoPE: the kinds that are run", () => {
  const scaling = (rope_scaling: Json, base = llama) => read({ ...base, rope_scaling }).rope?.scaling;
  assert.equal(scaling({ type: "dynamic", factor: 4 }), { rope_type: "default" });
  assert.equal(scaling({ type: "yarn", factor: 4, beta_fast: 0, attention_factor: null }), {
    rope_type: "yarn",
    factor: 4,
    original_max_position_embeddings: 256,
    beta_fast: 32,
    beta_slow: 1,
    truncate: true,
    attention_factor: 0.1 * Math.log(4) + 1,
  });
  const longrope = { type: "longrope", short_factor: [1, 1, 1, 1], long_factor: [2, 2, 2, 2] };
  assert.equal(scaling({ ...longrope, original_max_position_embeddings: 64 }), {
    rope_type: "longrope",
    short_factor: [1, 1, 1, 1],
    long_factor: [2, 2, 2, 2],
    original_max_position_embeddings: 64,
    attention_factor: Math.sqrt(1 + Math.log(4) / Math.log(64)),
  });
  assert.is(read({ ...llama, rope_scaling: {}, rope_theta: 7 }).rope?.rope_theta, 7);
});

test("RoPE: settings that are legal alone and give no finite angles are refused", async () => {
  for (const scaling of [
    { rope_type: "linear", factor: 5e-324 },
    { ...llama3Scaling, factor: 5e-324 },
    { rope_type: "yarn", factor: 4, original_max_position_embeddings: 64, beta_fast: 5e-324 },
    { rope_type: "yarn", factor: 4, original_max_position_embeddings: 64, attention_factor: 1e300 },
  ]) {
    await refused(llama, { rope_scaling: scaling }, "rope_scaling is", "not finite");
  }
  assert.is(read({ ...llama, rope_theta: 1e-300 }).rope?.rope_theta, 1e-300);
});

test("RoPE: a part of each head", () => {
  const { config, notices } = readNoting({ ...llama, partial_rotary_factor: 0.5 });
  assert.is(config.rope?.partial_rotary_factor, 0.5);
  assert.match(notices.join(), /partial_rotary_factor is 0.5.*transformers 5/);
  const stablelm = readNoting({ ...llama, model_type: "stablelm" });
  assert.is(stablelm.config.rope?.partial_rotary_factor, 0.25);
  assert.equal(stablelm.notices, []);
  assert.is(read({ ...llama, partial_rotary_factor: 0 }).rope, undefined);
});

test.run();
