/** Reads NumPy's arrays: .npy, and the archives of them, .npz. */
import { SluiceError } from "../errors.ts";
import { show } from "../show.ts";
import { NUMPY_TYPES } from "./numpy-types.ts";
import { columnMajor, type ElementType, elementBytes, rowMajor, type Storage, StridedArray } from "./strided.ts";
import { ZipFile } from "./zip.ts";

const MAGIC = "\u0093NUMPY";
/** NumPy reads 10,000 bytes. */
const MOST_HEADER = 1 << 16;

export function isNumpyArray(bytes: Uint8Array): boolean {
  return String.fromCharCode(...bytes.subarray(0, MAGIC.length)) === MAGIC;
}

/**
 * The array of a .npy file.
 * @param where names the file in errors
 * @throws `bad_file`
 */
export function readNumpyArray(bytes: Uint8Array, where: string): StridedArray {
  if (!isNumpyArray(bytes) || bytes.length < 12) throw bad(where, "is not an array of NumPy");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isFirst = view.getUint8(6) === 1;
  const begin = isFirst ? 10 : 12;
  const end = begin + (isFirst ? view.getUint16(8, true) : view.getUint32(8, true));
  if (end - begin > MOST_HEADER) throw bad(where, `has a header of ${end - begin} bytes, which is too long`);
  if (end > bytes.length) throw bad(where, "ends within its header");
  const { dtype, isBigEndian, isFortran, shape } = parseHeader(
    new TextDecoder().decode(bytes.subarray(begin, end)),
    where,
  );
  const data = bytes.subarray(end);
  const count = Math.floor(data.length / elementBytes(dtype));
  const storage: Storage = { dtype, count, isBigEndian, bytes: data };
  return new StridedArray(storage, 0, shape, (isFortran ? columnMajor : rowMajor)(shape), where);
}

/** The arrays of a .npz file by name. @throws `bad_file` */
export async function readNumpyArchive(bytes: Uint8Array, where: string): Promise<ReadonlyMap<string, StridedArray>> {
  const zip = new ZipFile(bytes, where);
  const arrays = new Map<string, StridedArray>();
  for (const name of zip.names) {
    if (!name.endsWith(".npy")) throw bad(where, `holds ${show(name)}, which is not an array of NumPy`);
    arrays.set(name.slice(0, -".npy".length), readNumpyArray(await zip.read(name), `${where}: ${name}`));
  }
  return arrays;
}

interface Header {
  readonly dtype: ElementType;
  readonly isBigEndian: boolean;
  readonly isFortran: boolean;
  readonly shape: readonly number[];
}

/** A dict as Python prints it: `{'descr': '<f4', 'fortran_order': False, 'shape': (4096,), }`. */
function parseHeader(text: string, where: string): Header {
  const descr = /'descr':\s*'([<>|=]?)([a-zA-Z]\d*)'/.exec(text);
  const order = /'fortran_order':\s*(True|False)/.exec(text)?.[1];
  const shape = /'shape':\s*\(([\d\s,]{0,400})\)/.exec(text)?.[1];
  const dtype = NUMPY_TYPES.get(descr?.[2] ?? "");
  if (!dtype) {
    const type = show(/'descr':\s*([^}]{1,60})/.exec(text)?.[1] ?? "");
    throw bad(where, `has the type of elements ${type}, which is not read`, "Save floats: array.astype('float32').");
  }
  if (order === undefined || shape === undefined) throw bad(where, "has a damaged header");
  return {
    dtype,
    isBigEndian: descr?.[1] === ">",
    isFortran: order === "True",
    shape: shape
      .split(",")
      .filter((part) => part.trim() !== "")
      .map(Number),
  };
}

function bad(where: string, problem: string, hint = "The file is damaged or cut short. Get it again."): SluiceError {
  return new SluiceError("bad_file", `${where} ${problem}`, { hint });
}
