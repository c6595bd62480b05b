/** What is in two packed packages, and how they differ. */
import { gunzipSync } from "node:zlib";

const BLOCK = 512;
/** How much of each file an explanation shows. */
const SHOWN = 60;

export interface Entry {
  readonly path: string;
  /** The block before the file: its mode, owner and time among others. */
  readonly header: Buffer;
  readonly content: Buffer;
}

/** The entries of a .tgz, in order. */
export function entriesOf(packed: Uint8Array): readonly Entry[] {
  const tar = gunzipSync(packed);
  const entries: Entry[] = [];
  for (let at = 0; at < tar.length && tar[at] !== 0; ) {
    const header = tar.subarray(at, at + BLOCK);
    const text = (from: number, length: number) =>
      header
        .subarray(from, from + length)
        .toString()
        .replace(/\0.*$/s, "");
    const size = Number.parseInt(text(124, 12), 8);
    const content = tar.subarray(at + BLOCK, at + BLOCK + size);
    const folder = text(345, 155);
    entries.push({ path: folder === "" ? text(0, 100) : `${folder}/${text(0, 100)}`, header, content });
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
  }
  return entries;
}

/** A sentence per difference; none if only the compression differs. */
export function whatDiffers(one: readonly Entry[], other: readonly Entry[]): readonly string[] {
  const [first, second] = [one, other].map((entries) => new Map(entries.map((entry) => [entry.path, entry])));
  if (!first || !second) return [];
  const said = [
    ...one.filter(({ path }) => !second.has(path)).map(({ path }) => `${path} is in the first alone`),
    ...other.filter(({ path }) => !first.has(path)).map(({ path }) => `${path} is in the second alone`),
  ];
  for (const [path, { header, content }] of first) {
    const there = second.get(path);
    if (!there) continue;
    if (!content.equals(there.content)) said.push(`${path}: ${firstDifference(content, there.content)}`);
    else if (!header.equals(there.header)) said.push(`${path}: its header ${firstDifference(header, there.header)}`);
  }
  if (said.length === 0 && one.some(({ path }, i) => other[i]?.path !== path)) {
    said.push("the files are in another order");
  }
  return said;
}

function firstDifference(one: Buffer, other: Buffer): string {
  let at = 0;
  while (at < one.length && one[at] === other[at]) at++;
  const shown = (bytes: Buffer) => JSON.stringify(bytes.subarray(at, at + SHOWN).toString("latin1"));
  return `from byte ${at}, ${shown(one)} and ${shown(other)}`;
}
