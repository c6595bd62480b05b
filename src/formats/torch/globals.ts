/** The names of Python that torch files may hold, and what each stands for. Every other name is refused. */
import { NUMPY_TYPES } from "../numpy-types.ts";
import { columnMajor, type ElementType, elementBytes, rowMajor, type Storage, StridedArray } from "../strided.ts";
import {
  PickledObject,
  type PickleList,
  type PickleReader,
  type PickleValue,
  PythonName,
  Unfinished,
} from "./pickle.ts";

/** A class of PyTorch's storages: what a persistent id names the type of elements by. */
export class StorageType extends PythonName {
  readonly dtype: ElementType;

  constructor(name: string, dtype: ElementType) {
    super(name, (_, reader) => {
      throw reader.bad(`makes a ${name}, which torch.save does not`);
    });
    this.dtype = dtype;
  }
}

/** A storage that a persistent id refers to. */
export class StorageReference extends Unfinished {
  readonly storage: Storage;

  constructor(storage: Storage) {
    super();
    this.storage = storage;
  }
}

/** numpy.dtype: its name, and the byte order once its state is set. */
class NumpyType extends Unfinished {
  readonly name: string;
  isBigEndian = false;

  constructor(name: string) {
    super();
    this.name = name;
  }

  override build(state: PickleValue, reader: PickleReader): void {
    if (!Array.isArray(state)) throw reader.bad("has a damaged dtype of NumPy");
    this.isBigEndian = state[1] === ">";
  }

  elements(reader: PickleReader): ElementType {
    const dtype = NUMPY_TYPES.get(this.name);
    if (!dtype) throw reader.bad(`has an array of NumPy of the type ${this.name.slice(0, 40)}, which is not read`);
    return dtype;
  }
}

class NumpyArray extends Unfinished {
  #array: StridedArray | null = null;

  override get array(): StridedArray | null {
    return this.#array;
  }

  override build(state: PickleValue, reader: PickleReader): void {
    const [, shape, type, isFortran, bytes] = Array.isArray(state) ? state : [];
    if (!isSizes(shape) || !(type instanceof NumpyType) || !(bytes instanceof Uint8Array)) {
      throw reader.bad("has a damaged array of NumPy");
    }
    this.#array = numpyArray(type, shape, isFortran === true, bytes, reader);
  }
}

/** One number of NumPy: an array without dimensions. */
class NumpyScalar extends Unfinished {
  readonly #array: StridedArray;

  constructor(array: StridedArray) {
    super();
    this.#array = array;
  }

  override get array(): StridedArray {
    return this.#array;
  }
}

function numpyArray(
  type: NumpyType,
  shape: readonly number[],
  isFortran: boolean,
  bytes: Uint8Array,
  reader: PickleReader,
): StridedArray {
  const dtype = type.elements(reader);
  const count = Math.floor(bytes.length / elementBytes(dtype));
  const storage: Storage = { dtype, count, isBigEndian: type.isBigEndian, bytes };
  return new StridedArray(
    storage,
    0,
    shape,
    (isFortran ? columnMajor : rowMajor)(shape),
    `${reader.where}: an array of NumPy`,
  );
}

/** The array that a value is, whichever library made it; null for anything else. */
export function arrayIn(value: PickleValue | undefined): StridedArray | null {
  if (value instanceof StridedArray) return value;
  return value instanceof Unfinished ? value.array : null;
}

function isSizes(value: PickleValue | undefined): value is number[] {
  return Array.isArray(value) && value.every((item) => typeof item === "number");
}

/** torch._utils._rebuild_tensor_v2(storage, offset, shape, stride, requires_grad, hooks); later arguments do not matter. */
function rebuildTensor(args: PickleList, reader: PickleReader): PickleValue {
  const [reference, offset, shape, strides] = args;
  if (!(reference instanceof StorageReference) || typeof offset !== "number" || !isSizes(shape) || !isSizes(strides)) {
    throw reader.bad("has a damaged tensor");
  }
  return new StridedArray(reference.storage, offset, shape, strides, `${reader.where}: a tensor`);
}

function rebuildParameter(args: PickleList, reader: PickleReader): PickleValue {
  const [tensor] = args;
  if (!(tensor instanceof StridedArray)) throw reader.bad("has a damaged parameter");
  return tensor;
}

function encode([text, encoding]: PickleList, reader: PickleReader): PickleValue {
  if (typeof text !== "string" || encoding !== "latin1") throw reader.bad("encodes something other than bytes");
  return reader.encodeLatin(text);
}

function numpyType([name]: PickleList, reader: PickleReader): PickleValue {
  if (typeof name !== "string") throw reader.bad("has a damaged dtype of NumPy");
  return new NumpyType(name);
}

function numpyScalar([type, bytes]: PickleList, reader: PickleReader): PickleValue {
  if (!(type instanceof NumpyType) || !(bytes instanceof Uint8Array)) throw reader.bad("has a damaged number of NumPy");
  return new NumpyScalar(numpyArray(type, [], false, bytes, reader));
}

const NO_CALL = (_: PickleList, reader: PickleReader): PickleValue => {
  throw reader.bad("makes an array of NumPy in an unknown way");
};

function emptyDict(args: PickleList, reader: PickleReader): PickleValue {
  if (args.length > 0) throw reader.bad("fills a dict in an unknown way");
  return new Map();
}

const STORAGES: readonly (readonly [string, ElementType])[] = [
  ["DoubleStorage", "F64"],
  ["FloatStorage", "F32"],
  ["HalfStorage", "F16"],
  ["BFloat16Storage", "BF16"],
  ["LongStorage", "I64"],
  ["IntStorage", "I32"],
  ["ShortStorage", "I16"],
  ["CharStorage", "I8"],
  ["ByteStorage", "U8"],
  ["BoolStorage", "BOOL"],
];

const STEERING_VECTOR = "steering_vectors.steering_vector.SteeringVector";

const KNOWN: ReadonlyMap<string, PythonName> = new Map(
  [
    ...STORAGES.map(([name, dtype]) => new StorageType(`torch.${name}`, dtype)),
    new PythonName("torch._utils._rebuild_tensor_v2", rebuildTensor),
    new PythonName("torch._utils._rebuild_parameter", rebuildParameter),
    new PythonName("collections.OrderedDict", emptyDict),
    new PythonName("_codecs.encode", encode),
    // The module moved in NumPy 2.
    ...["numpy.core.multiarray", "numpy._core.multiarray"].flatMap((module) => [
      new PythonName(`${module}._reconstruct`, () => new NumpyArray()),
      new PythonName(`${module}.scalar`, numpyScalar),
    ]),
    new PythonName("numpy.ndarray", NO_CALL),
    new PythonName("numpy.dtype", numpyType),
    new PythonName(STEERING_VECTOR, () => new PickledObject(STEERING_VECTOR)),
  ].map((known) => [known.name, known]),
);

/** What a name of Python stands for; undefined for one that is not read. */
export function knownGlobal(module: string, name: string): PythonName | undefined {
  return KNOWN.get(`${module}.${name}`);
}
