// Fits an edit in the page, offers it as a file, and moves its strength with a slider while the model speaks.
import { fitDirection, load, writeBundle } from "sluice";
import { plays, tales } from "../texts.js";

const slider = /** @type {HTMLInputElement} */ (document.querySelector("input"));
const button = /** @type {HTMLButtonElement} */ (document.querySelector("button"));
const link = /** @type {HTMLAnchorElement} */ (document.querySelector("a"));
const output = /** @type {HTMLOutputElement} */ (document.querySelector("output"));
const status = /** @type {HTMLElement} */ (document.querySelector("[role=status]"));

const model = await load(new URL("/gpt2-stories/", location.origin));

// The direction from tales to plays in the residual stream after layer 2.
const encode = (/** @type {string} */ text) => model.encode(text).slice(0, 16);
const bundle = await fitDirection(model, "ace", {
  positive: plays.map(encode),
  negative: tales.map(encode),
  layers: [2],
  onProgress: (done, total) => {
    status.textContent = `Fitting: ${done} of ${total} sentences`;
  },
});
link.href = URL.createObjectURL(new Blob([writeBundle(bundle)]));
link.hidden = false;

const session = await model.with([bundle]).session({ context: 128 });

/** Alpha says how far the edit goes: 0 where the tales' mean is, 1 where the plays' is. */
function slide() {
  session.set("ace_resid_post", { alpha: slider.valueAsNumber }, { cache: "continue" });
}

async function speak() {
  button.disabled = true;
  output.textContent = "The king said";
  for await (const { text } of session.generate("The king said", { maxNewTokens: 60 })) output.append(text ?? "");
  button.disabled = false;
  status.textContent = "Done";
}

slider.addEventListener("input", slide);
button.addEventListener("click", speak);
slider.disabled = false;
button.disabled = false;
status.textContent = "Ready";
