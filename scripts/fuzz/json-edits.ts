/** Edits of JSON: a tree whose objects may hold a key twice, and whose places are counted. */
import fc from "fast-check";
import { knownNames, oddNumbers, oddTexts, oddValues, Raw } from "./odd-values.ts";

/** Objects are lists of entries. */
type Tree = { readonly entries: [string, Tree][] } | { readonly items: Tree[] } | { readonly leaf: unknown };

/** Where something stands: the list that holds it, and its index there. */
interface Place {
  readonly value: Tree;
  readonly within: { readonly entries: [string, Tree][] } | { readonly items: Tree[] };
  readonly index: number;
}

/** One change of a JSON text. `at` is a share of all places. */
export interface JsonEdit {
  readonly kind: "json";
  readonly at: number;
  readonly change: "replace" | "remove" | "rename" | "twice" | "repeat" | "tweak" | "swap";
  readonly pick: number;
}

export const jsonEdit: fc.Arbitrary<JsonEdit> = fc.record({
  kind: fc.constant("json"),
  at: share(),
  change: fc.constantFrom("replace", "replace", "remove", "rename", "twice", "repeat", "tweak", "tweak", "swap"),
  pick: share(),
});

/** A number in [0, 1). */
export function share(): fc.Arbitrary<number> {
  return fc.nat({ max: 2 ** 30 - 1 }).map((n) => n / 2 ** 30);
}

/** The element at a share of a list. */
export function picked<Item>(list: readonly Item[], pick: number): Item {
  return list[Math.floor(pick * list.length)] as Item;
}

/** A list repeated within a repeated list makes texts that say nothing new. */
const MOST_TEXT = 8_000_000;

/** @returns the edited text; null if the text is not JSON, or has no place for the edit */
export function editJson(text: string, edit: JsonEdit): string | null {
  const parsed = parsedOrNull(text);
  if (parsed === null) return null;
  const root: Tree = { items: [treeOf(parsed)] };
  const places: Place[] = [];
  collect(root, places);
  apply(picked(places, edit.at), edit);
  const edited = root.items.map(print).join(",");
  return edited.length > MOST_TEXT ? null : edited;
}

/** What an earlier edit has nested this deeply is left as it is: walking through it would need a stack of its own. */
const DEEP = /\[{1000}|(?:\{"a":){1000}/;

/** What an earlier edit has made no JSON, no further edit of JSON reaches. */
export function parsedOrNull(text: string): unknown {
  if (DEEP.test(text)) return null;
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

function treeOf(value: unknown): Tree {
  if (Array.isArray(value)) return { items: value.map(treeOf) };
  if (typeof value === "object" && value !== null && !(value instanceof Raw)) {
    return { entries: Object.entries(value).map(([key, each]) => [key, treeOf(each)]) };
  }
  return { leaf: value };
}

/** Long lists are sampled: a vocabulary would otherwise take nearly all edits. */
const MOST_OF_A_LIST = 40;

function collect(tree: Tree, places: Place[]): void {
  if ("leaf" in tree) return;
  const children = "entries" in tree ? tree.entries.map(([, value]) => value) : tree.items;
  const step = Math.max(1, Math.ceil(children.length / MOST_OF_A_LIST));
  for (let index = 0; index < children.length; index += step) {
    const value = children[index] as Tree;
    places.push({ value, within: tree, index });
    collect(value, places);
  }
}

function apply({ value, within, index }: Place, { change, pick }: JsonEdit): void {
  const put = (tree: Tree): void => {
    if ("entries" in within) (within.entries[index] as [string, Tree])[1] = tree;
    else within.items[index] = tree;
  };
  if (change === "replace") put(treeOf(picked(oddValues, pick)));
  else if (change === "tweak") put(tweaked(value, pick));
  else if (change === "remove") ("entries" in within ? within.entries : within.items).splice(index, 1);
  else if (change === "repeat") repeat(within, index, picked([1, 1, 2, 100, 5000], pick));
  else if ("items" in within) {
    if (change === "swap") within.items.reverse();
    else put(treeOf(picked(oddValues, pick)));
  } else if (change === "rename") (within.entries[index] as [string, Tree])[0] = picked(oddTexts, pick);
  else if (change === "twice") within.entries.push([within.entries[index]?.[0] ?? "", treeOf(picked(oddValues, pick))]);
  else within.entries.push([picked(knownNames, pick), value]);
}

function repeat(within: Place["within"], index: number, times: number): void {
  if ("items" in within) {
    within.items.splice(index, 0, ...Array.from({ length: times }, () => within.items[index] as Tree));
    return;
  }
  const [key, value] = within.entries[index] as [string, Tree];
  for (let i = 0; i < times; i++) within.entries.push([`${key}${i}`, value]);
}

function tweaked(tree: Tree, pick: number): Tree {
  if (!("leaf" in tree)) return tree;
  const { leaf } = tree;
  if (typeof leaf === "number") {
    return { leaf: picked([leaf + 1, leaf - 1, -leaf, leaf * 2, leaf * 1000, leaf + 0.5, ...oddNumbers], pick) };
  }
  if (typeof leaf !== "string") return { leaf: picked(oddValues, pick) };
  const middle = leaf.length >> 1;
  return {
    leaf: picked(
      [
        leaf + leaf,
        leaf.slice(0, middle),
        leaf.toUpperCase(),
        `${leaf.slice(0, middle)}${picked(oddTexts, (pick * 7) % 1)}${leaf.slice(middle)}`,
        ...oddTexts,
      ],
      pick,
    ),
  };
}

function print(tree: Tree): string {
  if ("items" in tree) return `[${tree.items.map(print).join(",")}]`;
  if ("entries" in tree) {
    return `{${tree.entries.map(([key, value]) => `${JSON.stringify(key)}:${print(value)}`).join(",")}}`;
  }
  if (tree.leaf instanceof Raw) return tree.leaf.text;
  return Object.is(tree.leaf, -0) ? "-0" : (JSON.stringify(tree.leaf) ?? "null");
}
