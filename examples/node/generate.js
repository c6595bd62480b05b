// Continues a text: first token by token, then three samples in one batch.
//
//   node examples/node/generate.js [MODEL] [PROMPT]
//
// MODEL is a folder in Hugging Face's layout, or the web address of one.
import { load } from "sluice";

const [folder = "weights/stories260K", prompt = "Once upon a time"] = process.argv.slice(2);
const model = await load(folder);

// Without a temperature each token is the likeliest one. `text` holds what is complete so far, or null in between.
process.stdout.write(prompt);
for await (const { text } of model.generate(prompt, { maxNewTokens: 40 })) process.stdout.write(text ?? "");
process.stdout.write("\n");

// Three samples share the prompt's cache. Their seeds are 7, 8 and 9, so each can be drawn again alone.
const sampling = { temperature: 0.8, topK: 40, seed: 7 };
const samples = await model.generate(prompt, { ...sampling, samples: 3, maxNewTokens: 20 }).results();
for (const { seed, text } of samples) console.log(`\nseed ${seed}: ${prompt}${text}`);

model.dispose();
