/** What llama.cpp's `gguf-split` calls the parts of a model: model-00001-of-00003.gguf. */

/** Maximum number of files: more than any model has. */
const MOST_PARTS = 4096;

const PART_NAME = /^(.*)-(\d{5})-of-(\d{5})(\.gguf)$/i;

/** A model's file that stands for all of its parts: the first. */
export function firstPart(file: string): string {
  return file.replace(PART_NAME, "$1-00001-of-$3$4");
}

/** All parts of a model by the name of any, in order. */
export function partNames(file: string): readonly string[] {
  const [, stem, , count, ending] = PART_NAME.exec(file) ?? [];
  if (count === undefined) return [file];
  const number = (part: number): string => String(part).padStart(5, "0");
  const length = Math.min(Number(count), MOST_PARTS);
  return Array.from({ length }, (_, i) => `${stem}-${number(i + 1)}-of-${count}${ending}`);
}
