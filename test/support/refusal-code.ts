/** How work that should be refused ends. */
import { SluiceError } from "../../src/index.ts";

/** The code of the error that the work ends with; `none` if it succeeds. */
export async function codeOf(work: () => unknown): Promise<string> {
  try {
    await work();
    return "none";
  } catch (error) {
    return (error as SluiceError).code;
  }
}

/** The error with which the work is refused. @param what names the work, if it is not */
export async function refusalOf(work: () => Promise<unknown>, what = "the work"): Promise<SluiceError> {
  try {
    await work();
  } catch (error) {
    if (error instanceof SluiceError) return error;
    throw error;
  }
  throw new Error(`Nothing was refused: ${what}`);
}
