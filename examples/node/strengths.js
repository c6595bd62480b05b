// Runs one prompt at several strengths of an edit in one batch: strengths belong to a sequence, not to the model.
//
//   node examples/node/strengths.js
import { fitDirection, load } from "sluice";
import { plays, tales } from "../texts.js";

const prompt = "The king said";
const alphas = [0, 0.5, 1, 1.5, 2];

const model = await load("weights/gpt2-stories");
const encode = (/** @type {string} */ text) => model.encode(text).slice(0, 16);
const bundle = await fitDirection(model, "ace", {
  positive: plays.map(encode),
  negative: tales.map(encode),
  layers: [2],
});

// One sequence more than there are alphas: the last one has strength 0, which is the plain model.
const session = await model.with([bundle]).session({ context: 64, sequences: alphas.length + 1 });
for (const [sequence, alpha] of alphas.entries()) session.set("ace_resid_post", { alpha }, { sequence });
session.set("ace_resid_post", { strength: 0 }, { sequence: alphas.length });

const prompts = new Array(alphas.length + 1).fill(prompt);
const results = await session.generateBatch(prompts, { maxNewTokens: 16 });
for (const [sequence, { text }] of results.entries()) {
  const label = sequence < alphas.length ? `alpha ${alphas[sequence]}` : "plain";
  console.log(`${label.padEnd(10)}${prompt}${JSON.stringify(text).slice(1, -1)}`);
}

session.dispose();
model.dispose();
