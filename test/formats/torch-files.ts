/** Files of torch.save for tests, made instruction by instruction. */

type Part = string | number | Uint8Array;

function join(parts: readonly Part[]): Uint8Array<ArrayBuffer> {
  const pieces = parts.map((part) => {
    if (typeof part === "number") return Uint8Array.of(part);
    return typeof part === "string" ? new TextEncoder().encode(part) : part;
  });
  const whole = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** A pickle of protocol 2 with this body. */
export function pickle(body: readonly Part[]): Uint8Array<ArrayBuffer> {
  return join([0x80, 2, ...body, "."]);
}

/** A text of less than 256 bytes, as an instruction. */
export function shortText(value: string): Uint8Array<ArrayBuffer> {
  const bytes = new TextEncoder().encode(value);
  return join([0x8c, bytes.length, bytes]);
}

function int(value: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(5);
  bytes[0] = "J".charCodeAt(0);
  new DataView(bytes.buffer).setInt32(1, value, true);
  return bytes;
}

const tuple = (values: readonly number[]): Part[] => ["(", ...values.map(int), "t"];

/** A tensor of four floats, with what is given changed. */
export function tensor({
  shape = [4],
  stride = shape.map(() => 1),
  offset = 0,
  key = "0",
  count = 4,
}: {
  readonly shape?: readonly number[];
  readonly stride?: readonly number[];
  readonly offset?: number;
  readonly key?: string;
  readonly count?: number;
} = {}): Part[] {
  const storage: Part[] = [
    "(",
    shortText("storage"),
    "ctorch\nFloatStorage\n",
    shortText(key),
    shortText("cpu"),
    int(count),
    "t",
    "Q",
  ];
  return [
    "ctorch._utils\n_rebuild_tensor_v2\n",
    "(",
    ...storage,
    int(offset),
    ...tuple(shape),
    ...tuple(stride),
    0x89,
    "ccollections\nOrderedDict\n",
    ")",
    "R",
    "t",
    "R",
  ];
}

/** A file of torch.save: the pickle, and a storage `0` of the floats 0, 1, 2 and 3. */
export function torchZip(
  data: Uint8Array,
  storage = new Uint8Array(Float32Array.of(0, 1, 2, 3).buffer),
): Uint8Array<ArrayBuffer> {
  return zip([
    ["t/data.pkl", data],
    ["t/data/0", storage],
    ["t/version", join(["3\n"])],
  ]);
}

/** A zip archive of stored entries. */
export function zip(entries: readonly (readonly [string, Uint8Array])[]): Uint8Array<ArrayBuffer> {
  const locals: Uint8Array[] = [];
  const central: Uint8Array[] = [];
  let at = 0;
  for (const [name, bytes] of entries) {
    const local = record(30, 0x04034b50, [[26, name.length]], name);
    const header = record(46, 0x02014b50, [[28, name.length]], name);
    const view = new DataView(header.buffer);
    view.setUint32(20, bytes.length, true);
    view.setUint32(24, bytes.length, true);
    view.setUint32(42, at, true);
    locals.push(local, bytes);
    central.push(header);
    at += local.length + bytes.length;
  }
  const directory = join(central);
  const end = record(22, 0x06054b50, [[10, entries.length]], "");
  new DataView(end.buffer).setUint32(12, directory.length, true);
  new DataView(end.buffer).setUint32(16, at, true);
  return join([...locals, directory, end]);
}

function record(
  size: number,
  signature: number,
  fields: readonly (readonly [number, number])[],
  name: string,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size + name.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, signature, true);
  for (const [at, value] of fields) view.setUint16(at, value, true);
  bytes.set(new TextEncoder().encode(name), size);
  return bytes;
}
