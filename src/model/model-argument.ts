/** The rule for arguments that are models. */
import type { Rule } from "../arguments/rule.ts";
import { thing } from "../arguments/rules.ts";
import type { Model } from "./model.ts";

const modelThing = thing<Model>("a model, as load gives it", {
  config: "object",
  encode: "function",
  openSequences: "function",
});

/** A model that can still run. */
export const model: Rule<Model> = {
  ...modelThing,
  read(value, place) {
    const open = modelThing.read(value, place);
    if (open.isDisposed) throw place.error("has been disposed of", { hint: "Load it again." });
    return open;
  },
};
