// Moves the strength of an edit while the model speaks, as a slider in an application would.
//
//   node examples/node/sliders.js
import { fitDirection, load } from "sluice";
import { plays, tales } from "../texts.js";

const model = await load("weights/gpt2-stories");
const encode = (/** @type {string} */ text) => model.encode(text).slice(0, 16);
const bundle = await fitDirection(model, "ace", {
  positive: plays.map(encode),
  negative: tales.map(encode),
  layers: [2],
});

// A session keeps its cache from call to call; its stages can change at any time. Nothing is compiled again.
const session = await model.with([bundle]).session({ context: 128 });
session.set("ace_resid_post", { strength: 0 }); // the plain model

const generation = session.generate("The king said", { maxNewTokens: 48 });
let count = 0;
for await (const { text } of generation) {
  process.stdout.write(text ?? "");
  count += 1;
  // `continue` keeps what was computed under the old values: earlier tokens keep their influence.
  if (count === 12) session.set("ace_resid_post", { strength: 1, alpha: 2 }, { cache: "continue" });
  if (count === 30) session.set("ace_resid_post", { strength: 0 }, { cache: "continue" });
}

// Several decode steps are in flight at once. The result says which new token each change acted on first.
const { changes = [] } = await generation.result();
console.log("\n");
for (const { first_token, strength, alpha } of changes) {
  console.log(`from new token ${first_token}: strength ${strength ?? "as before"}, alpha ${alpha ?? "as before"}`);
}

session.dispose();
model.dispose();
