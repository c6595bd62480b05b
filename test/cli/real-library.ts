/** The real library behind the commands, with models on the device that tests share. */
import type { Library } from "../../src/cli/context.ts";
import { library } from "../../src/cli/library.ts";
import { load } from "../support/load.ts";
import { type Ended, type FakeWorld, run } from "./fake-world.ts";

export const realLibrary: Library = { ...library, load };

/** Runs a command line in this process: played streams and signals, real models. */
export function runReal(argv: readonly string[], world: FakeWorld = {}): Promise<Ended> {
  return run(argv, { library: realLibrary, ...world });
}
