/** How values flow through a graph: who makes them, who reads them, and which stages are on the way. */
import { type Graph, inputsOf, type Node, type NodeOf, outputOf, type Value } from "../graph/graph.ts";

/** A stage's node. */
export type StageNode = NodeOf<"stage">;

/** Stages that follow one another, in order, between two values. */
export interface Chain {
  readonly stages: readonly StageNode[];
  /** The value before the first stage, or after the last. */
  readonly value: Value;
}

export class Flow {
  readonly #readers = new Map<number, Node[]>();
  readonly #maker = new Map<number, Node>();
  readonly #sources = new Map<number, NodeOf<"source">>();

  constructor(graph: Graph) {
    for (const node of graph.nodes) {
      for (const input of inputsOf(node)) {
        // Keeping a copy of a value as a source is not a use that fusion must respect.
        if (node.op === "source") this.#sources.set(input.id, node);
        else if (node.op !== "head_sources") {
          const readers = this.#readers.get(input.id);
          if (readers) readers.push(node);
          else this.#readers.set(input.id, [node]);
        }
      }
      const out = outputOf(node);
      if (out) this.#maker.set(out.id, node);
    }
  }

  makerOf(value: Value): Node | undefined {
    return this.#maker.get(value.id);
  }

  onlyReaderOf(value: Value): Node | undefined {
    const readers = this.#readers.get(value.id);
    return readers?.length === 1 ? readers[0] : undefined;
  }

  isRead(value: Value): boolean {
    return this.#readers.has(value.id);
  }

  /** The node that keeps a value as a source of the edge mask. */
  sourceOf(value: Value): NodeOf<"source"> | undefined {
    return this.#sources.get(value.id);
  }

  /** The stages that follow a value. */
  stagesAfter(value: Value): Chain {
    const stages: StageNode[] = [];
    let end = value;
    for (let next = this.onlyReaderOf(end); next && isStage(next); next = this.onlyReaderOf(end)) {
      stages.push(next);
      end = next.out;
    }
    return { stages, value: end };
  }

  /** The stages that made a value of another. */
  stagesBefore(value: Value): Chain {
    const stages: StageNode[] = [];
    let begin = value;
    for (let maker = this.makerOf(begin); maker && isStage(maker); maker = this.makerOf(begin)) {
      stages.unshift(maker);
      begin = maker.input;
    }
    return { stages, value: begin };
  }
}

function isStage(node: Node): node is StageNode {
  return node.op === "stage";
}

/**
 * Of the stages at attn_out or mlp_out, those that the projection's epilogue carries: those of single elements up to the first stage
 * that needs the whole row, or whose change must be recorded with those of the row.
 */
export function inEpilogue(stages: readonly StageNode[]): number {
  const first = stages.findIndex(({ form, tracked }) => form === "row" || tracked);
  return first < 0 ? stages.length : first;
}
