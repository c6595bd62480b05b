/** The playground's circuit: its edges are the engine's, and what is pointed at is found. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { graphOf } from "../../playground/src/circuit/graph.ts";
import { edgeAt, type Filter, filtered, fitted, pointOn, zoomed } from "../../playground/src/circuit/view.ts";
import {
  destinationName,
  listDestinations,
  listSources,
  sourceName,
  visibleSources,
} from "../../src/interventions/edges.ts";

const shape = (layers: number, heads: number, groups = heads) => ({
  num_hidden_layers: layers,
  num_attention_heads: heads,
  num_key_value_heads: groups,
});
const all: Filter = { most: null, fromLayer: 0, toLayer: Number.POSITIVE_INFINITY, text: "", onlyCut: false };

test("edges have the engine's names and places in a mask", () => {
  for (const each of [shape(3, 3), shape(2, 8, 4), shape(12, 12)]) {
    const graph = graphOf(each);
    const sources = listSources(each);
    const destinations = listDestinations(each, graph.destinations);
    const expected = destinations.flatMap((destination, d) =>
      sources.slice(0, visibleSources(each, destination)).map((source, s) => {
        return [`${sourceName(source)} → ${destinationName(destination)}`, d * sources.length + s];
      }),
    );
    assert.equal(
      graph.edges.map(({ name, index }) => [name, index]),
      expected,
    );
    assert.equal(graph.shape, [destinations.length, sources.length]);
  }
  assert.is(graphOf(shape(3, 3)).edges.length, 82);
  assert.is(graphOf(shape(12, 12)).edges.length, 11_611);
});

test("no two nodes lie on each other", () => {
  for (const each of [shape(3, 3), shape(2, 8, 4)]) {
    const places = graphOf(each).nodes.map(({ x, y }) => `${x} ${y}`);
    assert.is(new Set(places).size, places.length);
  }
});

test("filters keep layers, names, cut edges, and the largest", () => {
  const graph = graphOf(shape(3, 3));
  const size = ({ index }: { index: number }) => index;
  const names = (filter: Partial<Filter>, cut: number[] = []) =>
    filtered(graph, { ...all, ...filter }, new Set(cut), size).map(({ name }) => name);
  assert.is(names({}).length, 82);
  assert.is(names({}).at(0), "blocks.2.mlp → logits");
  assert.equal(names({ most: 1 }), ["blocks.2.mlp → logits"]);
  const smallest = graph.edges.reduce((a, b) => (a.index < b.index ? a : b));
  assert.equal(names({ most: 1 }, [smallest.index]), ["blocks.2.mlp → logits", smallest.name], "what is cut is shown");
  assert.is(names({ text: "EMBED → blocks.0" }).length, 4);
  assert.is(names({ toLayer: 0, text: "blocks.1" }).filter((name) => name.includes("→ blocks.1")).length, 0);
  const [first] = graph.edges;
  assert.equal(names({ onlyCut: true }, [first?.index ?? -1]), [first?.name]);
});

test("an edge is found where it is drawn, at any zoom", () => {
  const graph = graphOf(shape(12, 12));
  const whole = fitted(graph, 1000, 500);
  const edge = graph.edges.find(({ name }) => name === "blocks.3.head.0 → blocks.9.mlp");
  assert.ok(edge);
  for (const view of [whole, zoomed(whole, 5, 200, 100)]) {
    const [x, y] = pointOn(edge, 0.37);
    assert.is(edgeAt([edge], view, x * view.scale + view.x, y * view.scale + view.y), edge);
    assert.is(edgeAt([edge], view, x * view.scale + view.x, y * view.scale + view.y + 40), null);
  }
  // Zooming keeps the point under the pointer.
  const nearer = zoomed(whole, 3, 250, 120);
  assert.ok(Math.abs((250 - nearer.x) / nearer.scale - (250 - whole.x) / whole.scale) < 1e-9);
});

test.run();
