// An application that uses types of every kind that the package exports.
import { type Bundle, type GenerateOptions, load, type Model, type Session, SluiceError } from "sluice";
import { load as loadFromOneFile } from "sluice/sluice.min.js";

export async function story(path: string, device: GPUDevice, options: GenerateOptions): Promise<string> {
  const model: Model = await load(path, { device });
  const session: Session = await model.session({ context: 64 });
  const { text } = await session.generate("Once", options).result();
  return text ?? "";
}

export const sameLoad: typeof load = loadFromOneFile;
export const withBundle = (model: Model, bundle: Bundle): Model => model.with([bundle]);
export const codeOf = (error: unknown): string => (error instanceof SluiceError ? error.code : "unforeseen");
