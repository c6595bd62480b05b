// The page's side of a worker: it sends a prompt and shows the text that comes back. The page stays free to scroll.
const output = /** @type {HTMLOutputElement} */ (document.querySelector("output"));
const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });

worker.onmessage = ({ data }) => {
  if (data.error) output.textContent = data.error;
  else if (data.done) output.dataset.done = "true";
  else output.append(data.text);
};
worker.postMessage({ prompt: "One day", maxNewTokens: 40 });
