// Fits an edit to two classes of sentences, writes it to a file, reads it back, and compares the models.
//
//   node examples/node/fit.js [FILE]
//
// FILE is where the bundle goes: one safetensors file that the other examples and `sluice --with` read.
import { writeFile } from "node:fs/promises";
import { fitDirection, load, loadBundle, writeBundle } from "sluice";
import { plays, tales } from "../texts.js";

const [file = "plays.safetensors"] = process.argv.slice(2);
const model = await load("weights/gpt2-stories");

// ACE: the difference of the two classes' means in the residual stream. Fits take token ids.
const encode = (/** @type {string} */ text) => model.encode(text).slice(0, 16);
const bundle = await fitDirection(model, "ace", {
  positive: plays.map(encode),
  negative: tales.map(encode),
  layers: [2],
});
await writeFile(file, writeBundle(bundle));
console.log(`${file} holds ${bundle.manifest.stages.map(({ id }) => id).join(", ")}`);

// `with` shares the weights and compiles the edit into the shaders. Alpha 2 goes twice as far as the plays' mean.
const edited = model.with([await loadBundle(file)], { params: { ace_resid_post: { alpha: 2 } } });
const comparison = await edited.compare("The king said", { maxNewTokens: 20 });
console.log(`\nplain   The king said${comparison.plain.text}`);
console.log(`edited  The king said${comparison.edited.text}`);
console.log(`\nKL(plain ‖ edited) after the prompt: ${comparison.kl_nats.last.toFixed(3)} nats`);

model.dispose();
