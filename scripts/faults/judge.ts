/** What must hold however a call ends: a typed error in plain words, and nothing held. */
import { type Resources, resources, SluiceError } from "../../src/index.ts";
import { Broken } from "./step.ts";

/** Turns of the loop that what was given up may take to end. */
const PATIENCE_MS = 2000;

/** The code of an error that says what happened and what to do. @throws Broken for any other */
export function codeOfGoodError(what: string, error: unknown, codes: readonly string[]): string {
  if (!(error instanceof SluiceError)) {
    const { stack = String(error) } = error instanceof Error ? error : {};
    throw new Broken(`${what}: a raw error: ${stack.split("\n").slice(0, 6).join(" | ")}`);
  }
  if (/defect|TypeError|undefined|\[object/.test(error.message)) throw new Broken(`${what}: says ${error.message}`);
  if (!codes.includes(error.code))
    throw new Broken(`${what}: ${error.code}, not ${codes.join(" or ")}: ${error.message}`);
  const isOwnDoing = ["aborted", "usage", "busy"].includes(error.code);
  if (!isOwnDoing && !error.hint) throw new Broken(`${what}: says nothing of what to do: ${error.message}`);
  return error.code;
}

/**
 * Waits until nothing is held but what was before.
 * @param before of whoever else uses this process
 * @throws Broken naming what is held
 */
export async function mustBeFree(what: string, before: Resources): Promise<void> {
  const began = performance.now();
  for (;;) {
    const now = Object.entries(resources()) as [keyof Resources, number][];
    const held = now.flatMap(([kind, count]) => (count > before[kind] ? [[kind, count - before[kind]] as const] : []));
    if (held.length === 0) return;
    if (performance.now() - began > PATIENCE_MS) {
      throw new Broken(`${what}: holds ${held.map(([kind, count]) => `${count} ${kind}`).join(", ")} afterwards`);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
