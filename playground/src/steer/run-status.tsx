/** What the run does, in a word. */
import { hasModel } from "./run.ts";
import { runState } from "./run-state.ts";

const said: Readonly<Record<typeof runState.value, string>> = {
  idle: "",
  recorded: "",
  starting: "Preparing …",
  running: "Generating …",
  done: "Done.",
  stopped: "Stopped.",
  failed: "Failed.",
};

export function RunStatus() {
  return (
    <span class="soft small" role="status">
      {hasModel.value ? said[runState.value] : "Open a model to run it here."}
    </span>
  );
}
