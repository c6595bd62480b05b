/** How work that should be refused ends. */
import type { SluiceError } from "../../src/index.ts";

/** The code of the error that the work ends with; `none` if it succeeds. */
export async function codeOf(work: () => unknown): Promise<string> {
  try {
    await work();
    return "none";
  } catch (error) {
    return (error as SluiceError).code;
  }
}
