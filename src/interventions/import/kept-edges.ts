/** A circuit: which edges other projects keep, as an `edge_mask` that cuts all others. */
import { storeFloat32 } from "../../formats/safetensors.ts";
import { destinationName, listDestinations, listSources, sourceName, visibleSources } from "../edges.ts";
import type { EdgeMaskManifest } from "../manifest.ts";
import { type Given, type Imported, unfit } from "./foreign-kind.ts";

/** What a head's input is for, as the projects tell them apart. */
export type HeadInput = "q" | "k" | "v";

export class KeptEdges {
  readonly #given: Given;
  readonly #sources: ReadonlyMap<string, number>;
  readonly #destinations: ReadonlyMap<string, number>;
  readonly #visible: readonly number[];
  readonly #mask: Float32Array;
  #kept = 0;

  constructor(given: Given) {
    const { config } = given;
    const destinations = listDestinations(config, "qkv_groups");
    this.#given = given;
    this.#sources = new Map(listSources(config).map((source, index) => [sourceName(source), index]));
    this.#destinations = new Map(destinations.map((each, index) => [destinationName(each), index]));
    this.#visible = destinations.map((destination) => visibleSources(config, destination));
    this.#mask = new Float32Array(this.#sources.size * destinations.length);
  }

  /**
   * Keeps an edge, by our names.
   * @param where names the edge in errors
   * @throws `bad_bundle` for an edge that the model does not have
   */
  keep(source: string, destination: string, where: string): void {
    const from = this.#sources.get(source);
    const to = this.#destinations.get(destination);
    if (from === undefined || to === undefined || from >= (this.#visible[to] as number)) {
      throw unfit(this.#given, where, "is no edge of the model", "It was made for another model.");
    }
    const at = to * this.#sources.size + from;
    if (this.#mask[at] === 0) this.#kept++;
    this.#mask[at] = 1;
  }

  /** Our name of a head's input: keys and values are shared by the query heads of a group. */
  input(layer: number, head: number, input: HeadInput): string {
    const { num_attention_heads: heads, num_key_value_heads: groups } = this.#given.config;
    return `blocks.${layer}.${input}.${input === "q" ? head : Math.floor((head * groups) / heads)}`;
  }

  /**
   * The bundle's stage.
   * @param attnBias whether a head's output has its share of the output projection's bias
   */
  stage(attnBias: NonNullable<EdgeMaskManifest["attn_bias"]>): Imported {
    const { config, name, warn } = this.#given;
    if (this.#kept === 0) throw unfit(this.#given, "its edges", "are all cut: nothing would reach the logits");
    warn(
      `${name}: the project replaces cut edges by another prompt's values; here they are replaced by zeros, or by a tensor circuit.constants that you add`,
    );
    if (config.num_key_value_heads !== config.num_attention_heads) {
      warn(
        `${name}: an edge to the keys or values of several query heads is kept if one of them keeps it, since they share them`,
      );
    }
    const shape = [this.#destinations.size, this.#sources.size];
    return {
      stages: [{ id: "circuit", kind: "edge_mask", destinations: "qkv_groups", attn_bias: attnBias }],
      tensors: new Map([["circuit.mask", storeFloat32(this.#mask, shape)]]),
      fit: { kept_edges: this.#kept },
    };
  }
}
