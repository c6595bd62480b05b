/** Counts the cost of reading keys of dictionaries. */
import { checkDepth, type Run } from "./run.ts";
import { Tuple, textOf, type Value } from "./values.ts";

/** Takes the steps of looking this key up. @returns the key */
export function usable(run: Run, key: Value, depth = 0): Value {
  checkDepth(depth);
  const text = textOf(key);
  if (text !== undefined) run.scan(text.length);
  else if (key instanceof Tuple) {
    run.spend(key.items.length);
    for (const item of key.items) usable(run, item, depth + 1);
  }
  return key;
}
