/**
 * `<sluice-compare model bundle prompt>`: the plain and the edited model side by side, in any page.
 *
 *     <script type="module" src="…/sluice-compare.js"></script>
 *     <sluice-compare model="org/name" bundle="edit.safetensors" prompt="The king said"></sluice-compare>
 *
 * `model` is a hub id, or an address that ends in a slash; `bundle` an address. `alpha`, `strength`, `temperature`, `seed` and
 * `max-new-tokens` are optional. Nothing is fetched before the reader presses Run.
 */
import { render } from "preact";
import { Comparison, type ComparisonProps } from "./embed/comparison.tsx";
import css from "./embed/embed.css?inline";

const sheet = new CSSStyleSheet();
sheet.replaceSync(css);

class SluiceCompare extends HTMLElement {
  static readonly observedAttributes = [
    "model",
    "bundle",
    "prompt",
    "alpha",
    "strength",
    "temperature",
    "seed",
    "max-new-tokens",
  ];
  #root: ShadowRoot | undefined;

  connectedCallback(): void {
    this.#root ??= this.attachShadow({ mode: "open" });
    this.#root.adoptedStyleSheets = [sheet];
    this.#draw();
  }

  disconnectedCallback(): void {
    if (this.#root) render(null, this.#root);
  }

  attributeChangedCallback(): void {
    this.#draw();
  }

  #draw(): void {
    if (this.#root && this.isConnected) render(<Comparison {...this.#props()} />, this.#root);
  }

  #props(): ComparisonProps {
    const number = (name: string): number | null => {
      const text = this.getAttribute(name);
      return text === null || !Number.isFinite(Number(text)) ? null : Number(text);
    };
    return {
      model: this.getAttribute("model") ?? "",
      bundle: this.getAttribute("bundle") ?? "",
      prompt: this.getAttribute("prompt") ?? "",
      alpha: number("alpha"),
      strength: number("strength"),
      sampling: {
        temperature: number("temperature") ?? 0,
        seed: number("seed") ?? 0,
        maxNewTokens: number("max-new-tokens") ?? 40,
      },
    };
  }
}

customElements.define("sluice-compare", SluiceCompare);
