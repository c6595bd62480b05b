/** Edge masks as they are defined: every destination's own input, by subtraction, with every source kept. */
import { type Destination, listDestinations, listSources } from "../../src/interventions/edges.ts";
import type { EdgeMaskStage } from "../../src/interventions/stage.ts";
import type { ModelConfig } from "../../src/model-config.ts";
import { addScaled, dot, type Linear, type Rows } from "./rows.ts";

export class Corrections {
  readonly #stage: EdgeMaskStage;
  readonly #destinations: readonly Destination[];
  readonly #width: number;
  /** Row s replaces source s, where a class of destination replaces by constants. */
  readonly #constants: Rows | undefined;
  /** What each source wrote, in canonical order, as far as the forward pass has come. */
  readonly #written: Rows[] = [];

  constructor(stage: EdgeMaskStage, config: ModelConfig) {
    this.#stage = stage;
    this.#destinations = listDestinations(config, stage.destinations);
    this.#width = listSources(config).length;
    const d = config.hidden_size;
    const { constants } = stage;
    this.#constants =
      constants &&
      Array.from({ length: this.#width }, (_, s) => Float64Array.from(constants.slice(s * d, (s + 1) * d)));
  }

  /** The next source in canonical order has written. */
  wrote(rows: Rows): void {
    if (this.#written.length === this.#width) throw new Error("More sources wrote than there are");
    this.#written.push(rows);
  }

  /** The next sources are a layer's heads: z_h·W_O[h], and with `per_head` b_O/H each. */
  headsWrote(z: Rows, output: Linear, heads: number): void {
    const head_dim = output.inputs / heads;
    for (let h = 0; h < heads; h++) {
      this.wrote(
        z.map((row) =>
          new Float64Array(output.outputs).map((_, i) => {
            const bias = this.#stage.attn_bias === "per_head" ? (output.bias?.[i] ?? 0) / heads : 0;
            return dot(row, h * head_dim, output.weight, i * output.inputs + h * head_dim, head_dim) + bias;
          }),
        ),
      );
    }
  }

  /** x_D = R_D − Σ_s (1 − m')·(out_s − repl_s), or `stream` itself where D has no masked edge. */
  input(kind: Destination["kind"], layer: number, head: number, stream: Rows): Rows {
    const stage = this.#stage;
    const index = this.#indexOf(kind, layer, head);
    const edges = stage.edges.filter(({ destination }) => destination === index);
    if (edges.length === 0) return stream;
    const part = kind === "mlp" || kind === "logits" ? kind : "attn";
    const replaced = stage.replace[part] === "constants" ? this.#constants : undefined;
    return stream.map((row, t) => {
      const x = row.slice();
      for (const { source, value } of edges) {
        const out = this.#written[source]?.[t];
        if (!out) throw new Error(`Source ${source} has not written yet when destination ${index} reads`);
        const cut = stage.strength * (1 - value);
        addScaled(x, -cut, out);
        if (replaced) addScaled(x, cut, replaced[source] as Float64Array);
      }
      return x;
    });
  }

  /** With `heads`, a head's q, k and v are one destination. */
  #indexOf(kind: Destination["kind"], layer: number, head: number): number {
    const shared = this.#stage.destinations === "heads" && (kind === "q" || kind === "k" || kind === "v");
    return this.#destinations.findIndex((other) => {
      if (other.kind !== (shared ? "head" : kind)) return false;
      if (other.kind === "logits") return true;
      return other.layer === layer && (other.kind === "mlp" || other.head === head);
    });
  }
}
