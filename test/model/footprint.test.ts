/** The size of a model before it is loaded is what loading then takes. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type LoadOptions, measureModel } from "../../src/index.ts";
import { location, readBytes, readJson } from "../support/files.ts";
import { load, sharedDevice } from "../support/load.ts";

const FOLDER = "weights/gpt2-stories";

test("weights, cache and parameters are those of the loaded model", async () => {
  const device = await sharedDevice();
  const { weights, parameters, cache_bytes, ...found } = await measureModel(location(FOLDER), { device, context: 100 });
  assert.equal(
    weights.map(({ format, fits }) => [format, fits]),
    [
      ["stored", true],
      ["q8", true],
      ["q4", true],
    ],
  );
  for (const { format, weight_bytes } of weights) {
    const options: LoadOptions = format === "stored" ? {} : { quantize: format };
    const model = await load(location(FOLDER), options);
    assert.is(weight_bytes, model.internals.layout.byteLength, format);
    model.dispose();
  }
  // The file holds the parameters in 2 bytes each, and a header.
  const file = (await readBytes(`${FOLDER}/model.safetensors`)).length;
  assert.ok(2 * parameters <= file && 2 * parameters > file - 20_000, `${parameters} parameters in ${file} bytes`);
  assert.ok(found.download_bytes > 2 * parameters);
  assert.equal([found.stored, found.context, found.sequences], ["F16", 100, 1]);
  const { n_layer, n_embd } = await readJson<{ n_layer: number; n_embd: number }>(`${FOLDER}/config.json`);
  assert.is(cache_bytes, 2 * n_layer * 100 * n_embd * 4);
  const narrow = await measureModel(location(FOLDER), { device, context: 100, plan: "f16-cache" });
  assert.is(narrow.cache_bytes, cache_bytes / 2);
});

test("a device that cannot bind a strip is said not to hold the model, and why", async () => {
  const real = await sharedDevice();
  const limits = new Proxy(real.limits, {
    get: (own, name) => (name === "maxStorageBufferBindingSize" ? 1000 : Reflect.get(own, name, own)),
  });
  const device = new Proxy(real, {
    get(own, name) {
      if (name === "limits") return limits;
      const value = Reflect.get(own, name, own);
      return typeof value === "function" ? value.bind(own) : value;
    },
  });
  const { weights } = await measureModel(location("weights/stories260K"), { device });
  for (const { fits, problem } of weights) {
    assert.is(fits, false);
    assert.match(problem ?? "", /1,?000/);
  }
});

test.run();
