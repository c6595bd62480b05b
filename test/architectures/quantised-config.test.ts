/** What config.json says of quantised weights: MLX's are read, others refused by name with what to use instead. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { foreignWeight } from "../../src/architectures/foreign-quantization.ts";
import { readConfig } from "../../src/architectures/read-config.ts";
import { readMlx } from "../../src/architectures/read-mlx.ts";
import { SluiceError } from "../../src/errors.ts";
import { read, refused } from "./configs.ts";

const llama = {
  model_type: "llama",
  hidden_size: 64,
  intermediate_size: 128,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  vocab_size: 100,
};

test("MLX's description in either field, with exceptions by module", () => {
  const quantization = {
    group_size: 64,
    bits: 4,
    lm_head: { group_size: 32, bits: 8 },
    "model.layers.0.mlp.up_proj": false,
  };
  for (const fields of [
    { quantization },
    { quantization_config: quantization },
    { quantization, quantization_config: quantization },
  ]) {
    assert.is(read({ ...llama, ...fields }).quantization, "mlx");
    const { usual, modules } = readMlx({ ...llama, ...fields }, "m/config.json");
    assert.equal(usual, { bits: 4, group: 64 });
    assert.equal(
      [...modules],
      [
        ["lm_head", { bits: 8, group: 32 }],
        ["model.layers.0.mlp.up_proj", null],
      ],
    );
  }
  // An exception leaves out what is as usual.
  const partly = { quantization: { group_size: 128, bits: 4, mode: "affine", x: { bits: 8 }, y: true } };
  assert.equal(
    [...readMlx({ ...llama, ...partly }, "c").modules.values()],
    [
      { bits: 8, group: 128 },
      { bits: 4, group: 128 },
    ],
  );
  assert.is(read({ ...llama, quantization: null, quantization_config: null }).quantization, undefined);
});

test("MLX's other modes, bits and groups are refused by name, also in an exception", async () => {
  for (const mode of ["mxfp4", "mxfp8", "nvfp4"]) {
    await refused(llama, { quantization: { group_size: 32, bits: 4, mode } }, "quantization.mode", mode);
  }
  for (const bits of [2, 3, 5, 6]) {
    await refused(llama, { quantization: { group_size: 64, bits } }, `quantization.bits is ${bits}`, "4 and 8");
    const quantization = { group_size: 64, bits: 4, lm_head: { bits, group_size: 64 } };
    await refused(llama, { quantization }, `quantization.lm_head.bits is ${bits}`);
  }
  await refused(llama, { quantization: { group_size: 16, bits: 4 } }, "quantization.group_size is 16");
  await refused(llama, { quantization: { group_size: 64, bits: "4" } }, "quantization.bits");
  await refused(llama, { quantization: { group_size: 64, bits: 4, lm_head: 5 } }, "quantization.lm_head");
});

test("other engines' weights are refused by name, with what to use instead", async () => {
  for (const [method, name] of [
    ["gptq", "GPTQ"],
    ["awq", "AWQ"],
    ["bitsandbytes", "bitsandbytes"],
    ["compressed-tensors", "compressed-tensors"],
    ["fp8", "FP8"],
    ["modelopt", "NVFP4"],
    ["mxfp4", "MXFP4"],
    ["hqq", "HQQ"],
    ["something_new", "something_new"],
  ] as const) {
    const described = { quant_method: method, bits: 4, group_size: 128 };
    await refused(llama, { quantization_config: described }, "quantization_config", name);
    assert.match(hintOf({ ...llama, quantization_config: described }), /MLX.*GGUF.*float16/);
  }
  await refused(llama, { quantization_config: { bits: 4, group_size: 128, desc_act: true } }, "GPTQ");
  await refused(llama, { quantization_config: { bits: 4, group_size: 128, zero_point: true } }, "AWQ");
  await refused(llama, { quantization_config: { load_in_4bit: true } }, "bitsandbytes");
  await refused(llama, { quantization_config: {} }, "another engine");
});

test("tensors of other engines are known where config.json says nothing", () => {
  const named = (names: readonly string[], dtype = "I32"): string => {
    const tensors = new Map(names.map((name) => [name, { name, dtype, shape: [8, 8], byteLength: 256 }]));
    return foreignWeight("a.q_proj.weight", { tensors })?.message ?? "";
  };
  assert.match(named(["a.q_proj.qweight", "a.q_proj.qzeros", "a.q_proj.scales"]), /GPTQ or AWQ/);
  assert.match(named(["a.q_proj.weight_packed", "a.q_proj.weight_scale"]), /compressed-tensors/);
  assert.match(named(["a.q_proj.weight", "a.q_proj.weight.absmax"], "U8"), /bitsandbytes/);
  assert.match(named(["a.q_proj.weight", "a.q_proj.weight_scale", "a.q_proj.weight_scale_2"], "U8"), /NVFP4/);
  assert.match(named(["a.q_proj.weight", "a.q_proj.weight_scale_inv"], "F8_E4M3"), /FP8/);
  assert.match(named(["a.q_proj.weight"], "F8_E5M2"), /FP8/);
  assert.match(named(["a.q_proj.weight", "a.q_proj.scales", "a.q_proj.biases"], "U32"), /MLX/);
  assert.is(named(["a.q_proj.weight"], "I8"), "");
});

function hintOf(json: unknown): string {
  try {
    readConfig(json, "c");
  } catch (error) {
    if (error instanceof SluiceError) return error.hint ?? "";
  }
  return "";
}

test.run();
