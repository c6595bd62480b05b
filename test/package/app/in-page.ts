// Shows the tokens that follow token 1, as a worker finds them.
const output = document.querySelector("output") ?? document.body;
const worker = new Worker(new URL("worker.ts", import.meta.url), { type: "module" });
worker.onmessage = ({ data }) => {
  output.textContent = JSON.stringify(data);
};
worker.postMessage(Number(new URLSearchParams(location.search).get("new_tokens")));
