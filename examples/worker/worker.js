// The model's side: WebGPU works in a worker as in a page. The model is loaded once, with the first message or before.
import { load } from "sluice";

const model = load(new URL("/stories260K/", location.origin));

self.onmessage = async ({ data: { prompt, maxNewTokens } }) => {
  try {
    for await (const { text } of (await model).generate(prompt, { maxNewTokens })) {
      if (text !== null) self.postMessage({ text });
    }
    self.postMessage({ done: true });
  } catch (error) {
    self.postMessage({ error: String(error) });
  }
};
