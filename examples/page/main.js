// Loads a model from the page's own server and continues what is typed, with progress, a stop button and errors.
import { load, SluiceError } from "sluice";

const form = /** @type {HTMLFormElement} */ (document.querySelector("form"));
const output = /** @type {HTMLOutputElement} */ (document.querySelector("output"));
const status = /** @type {HTMLElement} */ (document.querySelector("[role=status]"));
const [start, stop] = form.querySelectorAll("button");

try {
  const model = await load(new URL("/stories260K/", location.origin), {
    onProgress: ({ phase, done, total }) => {
      status.textContent = `${phase}: ${Math.round((100 * done) / total)} %`;
    },
    onNotice: (message) => console.info(message),
  });
  status.textContent = `Ready on ${model.device.name}`;

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const prompt = String(new FormData(form).get("prompt"));
    const abort = new AbortController();
    stop.onclick = () => abort.abort();
    [start.disabled, stop.disabled] = [true, false];
    output.textContent = prompt;
    try {
      for await (const { text } of model.generate(prompt, { maxNewTokens: 60, signal: abort.signal })) {
        output.append(text ?? "");
      }
      status.textContent = "Done";
    } catch (error) {
      status.textContent = error instanceof SluiceError && error.code === "aborted" ? "Stopped" : String(error);
    }
    [start.disabled, stop.disabled] = [false, true];
  });
} catch (error) {
  // Every error of Sluice has a stable code and a sentence that says what to do: no WebGPU, a file that is missing, …
  status.textContent = error instanceof SluiceError ? `${error.code}: ${error.message}` : String(error);
}
