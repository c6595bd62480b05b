/** The files of one model: one, or several that llama.cpp's `gguf-split` made, such as model-00001-of-00003.gguf. */
import { SluiceError } from "../../errors.ts";
import { show } from "../../show.ts";
import type { FileSource } from "../source.ts";
import type { GgufPart } from "./checkpoint.ts";
import { type GgufHeader, readGgufHeader } from "./header.ts";
import { Metadata } from "./metadata.ts";
import { partNames } from "./part-names.ts";

/** Headers read at a time. */
const HEADERS_AT_ONCE = 8;

/**
 * Reads the headers of all files of a model. The metadata are in the first.
 * @param file any of them
 * @throws `bad_file`; `not_found` if one is missing
 */
export async function readParts(source: FileSource, file: string, signal?: AbortSignal): Promise<readonly GgufPart[]> {
  const names = partNames(file);
  const first = names[0] as string;
  const header = await readGgufHeader(source, first, signal);
  const where = source.describe(first);
  const count = new Metadata(header.metadata, where).whole("split.count") ?? 1;
  if (count <= 1) return [{ file: first, header }];
  if (count !== names.length) {
    throw bad(
      where,
      `the file is one of ${count} parts, which its name does not say`,
      "Give the parts their own names.",
    );
  }
  const parts: GgufPart[] = [{ file: first, header }];
  for (let at = 1; at < count; at += HEADERS_AT_ONCE) {
    const some = names.slice(at, at + HEADERS_AT_ONCE);
    const headers = await Promise.all(some.map((name) => readPart(source, name, signal)));
    some.forEach((name, i) => parts.push({ file: name, header: headers[i] as GgufHeader }));
  }
  check(parts, source);
  return parts;
}

async function readPart(source: FileSource, file: string, signal: AbortSignal | undefined): Promise<GgufHeader> {
  if (await source.exists(file, signal)) return readGgufHeader(source, file, signal);
  throw new SluiceError("not_found", `${source.describe(file)} does not exist, but the model's other parts need it`, {
    hint: "Download the missing file into the same folder; of picked files, pick all parts.",
  });
}

/** Checks that the files are each other's parts, and that no tensor is missing or comes twice. */
function check(parts: readonly GgufPart[], source: FileSource): void {
  const seen = new Set<string>();
  for (const [number, { file, header }] of parts.entries()) {
    const where = source.describe(file);
    const metadata = new Metadata(header.metadata, where);
    if (metadata.whole("split.count") !== parts.length || metadata.whole("split.no") !== number) {
      throw bad(where, `the file is not part ${number + 1} of ${parts.length}, as its name says`);
    }
    for (const name of header.tensors.keys()) {
      if (seen.has(name)) throw bad(where, `the file holds tensor ${show(name)}, which another part has too`);
      seen.add(name);
    }
  }
  const [{ file, header }] = parts as [GgufPart];
  const total = new Metadata(header.metadata, source.describe(file)).whole("split.tensors.count") ?? seen.size;
  if (total !== seen.size) {
    throw bad(source.describe(file), `the model has ${total} tensors, but its parts hold ${seen.size}`);
  }
}

function bad(
  where: string,
  problem: string,
  hint = "The parts do not belong together. Download all of them again.",
): SluiceError {
  return new SluiceError("bad_file", `${where}: ${problem}`, { hint });
}
