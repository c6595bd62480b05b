import { test } from "uvu";
import * as assert from "uvu/assert";
import { readConfig } from "../../src/architectures/read-config.ts";
import { readBundle, writeBundle } from "../../src/interventions/bundle.ts";
import { compose } from "../../src/interventions/compose.ts";
import { importControlVector } from "../../src/interventions/import-gguf.ts";
import { refusal } from "../formats/refusal.ts";
import { readBytes } from "../support/files.ts";
import { llama } from "./model-configs.ts";

const PATH = "test/data/control-vectors/create.gguf";
/** A Llama 3 8B by its shape. */
const large = readConfig(
  {
    model_type: "llama",
    num_hidden_layers: 32,
    hidden_size: 4096,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    intermediate_size: 14336,
    vocab_size: 128256,
  },
  "llama",
);

test("a control vector becomes an addition to the stream behind each layer that it names", async () => {
  for (const name of ["create", "reason"]) {
    const file = await readBytes(`test/data/control-vectors/${name}.gguf`);
    const bundle = importControlVector(file, `somewhere/${name}.gguf`, large);
    assert.is(bundle.manifest.name, name);
    const [stage] = compose(large, [{ bundle: readBundle(writeBundle(bundle), name) }]).stages;
    assert.ok(stage?.kind === "affine" && stage.method === "addition" && stage.site === "resid_post");
    assert.is(stage.layers.length, 32);
    for (const { direction } of stage.values.values()) {
      const norm = Math.hypot(...(direction ?? []));
      assert.ok(norm > 0 && Number.isFinite(norm));
    }
  }
});

/** The file with its model_hint, a string in its metadata, replaced by another of the same length. */
function hinting(file: Uint8Array, hint: string): Uint8Array {
  const copy = file.slice();
  const key = "controlvector.model_hint";
  // Behind the key stand the number of its type and the length of the text.
  const at = new TextDecoder("latin1").decode(copy).indexOf(key) + key.length + 4;
  assert.is(Number(new DataView(copy.buffer).getBigUint64(at, true)), hint.length);
  copy.set(new TextEncoder().encode(hint), at + 8);
  return copy;
}

test("a vector made for another kind or size of model is imported with a warning", async () => {
  const file = await readBytes(PATH);
  const warnings = (bytes: Uint8Array, config = large) => {
    const list: string[] = [];
    importControlVector(bytes, "c.gguf", config, (text) => list.push(text));
    return list.join("\n");
  };
  assert.is(warnings(file), "");
  assert.is(warnings(hinting(file, "Llama--")), "");
  assert.match(warnings(hinting(file, "mistral")), /c\.gguf .*"mistral".*"llama"/);
  // More layers than it has directions for.
  assert.match(warnings(file, { ...large, num_hidden_layers: 64 }), /layer 31.*up to 63/);
});

test("a control vector for another model, and files that are none, are refused", async () => {
  const file = await readBytes(PATH);
  await refusal("bad_bundle", () => importControlVector(file, "c.gguf", llama), "c.gguf", "control");
  await refusal("bad_file", () => importControlVector(file.subarray(4), "c.gguf", large), "GGUF");
  for (const length of [3, 30, 200, 5000, file.length - 1]) {
    await refusal("bad_file", () => importControlVector(file.subarray(0, length), "c.gguf", large), "c.gguf", "bytes");
  }
});

test.run();
