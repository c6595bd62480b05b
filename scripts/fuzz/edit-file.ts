/** Edits of a file of a known format: they reach the part that they are about, and what counts and sums say of it follows. */
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { SluiceError } from "../../src/errors.ts";
import { ZipFile } from "../../src/formats/zip.ts";
import { type ByteEdit, byteEdit, editBytes, joined } from "./byte-edits.ts";
import { editJson, type JsonEdit, jsonEdit } from "./json-edits.ts";
import { type JsonText, readJsonText } from "./json-places.ts";

export type Edit = ByteEdit | JsonEdit;

/** For files with a part in JSON mostly edits of that. */
export const anyEdit: fc.Arbitrary<Edit> = fc.oneof(
  { weight: 3, arbitrary: jsonEdit },
  { weight: 2, arbitrary: byteEdit },
);
export const bytesAlone: fc.Arbitrary<Edit> = byteEdit;

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** A changed copy of a file; the file itself if the edit finds no place in it. */
export function editFile(bytes: Uint8Array<ArrayBuffer>, edit: Edit): Uint8Array<ArrayBuffer> {
  if (isZip(bytes)) return editZip(bytes, edit);
  if (edit.kind === "bytes") return editBytes(bytes, edit);
  if (isSafetensors(bytes)) return editHeader(bytes, edit);
  if (bytes[0] === 0x7b && isJsonLines(bytes)) return editLine(bytes, edit);
  const text = once(wholeTexts, bytes, () => readJsonText(decoder.decode(bytes)));
  return text === null ? bytes : encoder.encode(editJson(text, edit));
}

/** What was read of files: most edits begin with one of few. */
const wholeTexts = new WeakMap<Uint8Array, JsonText | null>();
const headers = new WeakMap<Uint8Array, Header>();
const lines = new WeakMap<Uint8Array, boolean>();

function once<Value>(known: WeakMap<Uint8Array, Value>, bytes: Uint8Array, make: () => Value): Value {
  const before = known.get(bytes);
  if (before !== undefined) return before;
  const made = make();
  known.set(bytes, made);
  return made;
}

function isJsonLines(bytes: Uint8Array): boolean {
  return once(lines, bytes, () => decoder.decode(bytes).includes("}\n{"));
}

function isSafetensors(bytes: Uint8Array<ArrayBuffer>): boolean {
  return bytes.length > 9 && bytes[8] === 0x7b && headerLength(bytes) <= bytes.length - 8;
}

function headerLength(bytes: Uint8Array<ArrayBuffer>): number {
  return Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
}

/** The header of a safetensors file, and the manifest that a bundle has in it as a text. */
interface Header {
  readonly text: JsonText | null;
  readonly manifest: JsonText | null;
  /** The header with another manifest. */
  readonly withManifest: (manifest: string) => string;
}

function headerOf(bytes: Uint8Array<ArrayBuffer>): Header {
  const text = readJsonText(decoder.decode(bytes.subarray(8, 8 + headerLength(bytes))));
  const parsed: unknown = text && JSON.parse(text.text);
  const metadata = (parsed as { __metadata__?: { manifest?: unknown } | null } | null)?.__metadata__;
  const manifest = typeof metadata?.manifest === "string" ? readJsonText(metadata.manifest) : null;
  return {
    text,
    manifest,
    withManifest: (other) => JSON.stringify({ ...(parsed as object), __metadata__: { ...metadata, manifest: other } }),
  };
}

/** The header, or the manifest in it; the stated length follows. */
function editHeader(bytes: Uint8Array<ArrayBuffer>, edit: JsonEdit): Uint8Array<ArrayBuffer> {
  const { text, manifest, withManifest } = once(headers, bytes, () => headerOf(bytes));
  if (!text) return bytes;
  const isForManifest = edit.pick * 1000 - Math.floor(edit.pick * 1000) < 0.8;
  const edited = manifest && isForManifest ? withManifest(editJson(manifest, edit)) : editJson(text, edit);
  const header = encoder.encode(edited);
  const size = new Uint8Array(8);
  new DataView(size.buffer).setBigUint64(0, BigInt(header.length), true);
  return joined([size, header, bytes.subarray(8 + headerLength(bytes))]);
}

/** One of the lines of a file of JSON lines. */
function editLine(bytes: Uint8Array<ArrayBuffer>, edit: JsonEdit): Uint8Array<ArrayBuffer> {
  const all = decoder.decode(bytes).split("\n");
  const index = Math.floor(edit.at * 1000) % all.length;
  const line = readJsonText(all[index] as string);
  if (line) all[index] = editJson(line, edit);
  return encoder.encode(all.join("\n"));
}

function isZip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x50 && bytes[1] === 0x4b;
}

/** An entry of an archive, which is written again around it; or the archive as it is. */
function editZip(bytes: Uint8Array<ArrayBuffer>, edit: Edit): Uint8Array<ArrayBuffer> {
  const asBytes = edit.kind === "bytes" ? editBytes(bytes, edit) : bytes;
  if (edit.pick < 0.3) return asBytes;
  const entries = entriesOf(bytes);
  if (entries.length === 0) return asBytes;
  const index = Math.floor(edit.pick * 997) % entries.length;
  return zipOf(entries.map(([name, content], i) => [name, i === index ? editFile(content, edit) : content]));
}

/** None of an archive that an earlier edit has damaged. */
function entriesOf(bytes: Uint8Array): readonly (readonly [name: string, content: Uint8Array<ArrayBuffer>])[] {
  try {
    const zip = new ZipFile(bytes, "seed");
    return zip.names.map((name) => [name, Uint8Array.from(zip.stored(name))]);
  } catch (error) {
    if (error instanceof SluiceError) return [];
    throw error;
  }
}

/** A zip archive of stored entries. */
function zipOf(entries: readonly (readonly [name: string, content: Uint8Array])[]): Uint8Array<ArrayBuffer> {
  const local: Uint8Array[] = [];
  const central: Uint8Array[] = [];
  let offset = 0;
  for (const [name, content] of entries) {
    const title = encoder.encode(name);
    const facts = Buffer.alloc(26);
    facts.writeUInt16LE(20, 0);
    facts.writeUInt32LE(crc32(content), 10);
    facts.writeUInt32LE(content.length, 14);
    facts.writeUInt32LE(content.length, 18);
    facts.writeUInt16LE(title.length, 22);
    const place = Buffer.alloc(14);
    place.writeUInt32LE(offset, 10);
    local.push(Buffer.from("PK\x03\x04"), facts, title, content);
    central.push(Buffer.from("PK\x01\x02"), Buffer.from([20, 0]), facts, place, title);
    offset += 4 + facts.length + title.length + content.length;
  }
  const size = central.reduce((sum, { length }) => sum + length, 0);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(size, 12);
  end.writeUInt32LE(offset, 16);
  return joined([...local, ...central, end]);
}
