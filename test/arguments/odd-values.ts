/** Values that callers give by mistake, or in malice. */
import { createContext, runInContext } from "node:vm";

function nested(depth: number): unknown {
  let list: unknown = [];
  for (let i = 0; i < depth; i++) list = [list];
  return list;
}

function cyclic(): unknown {
  const list: unknown[] = [];
  list.push(list, { list });
  return list;
}

/** An object of which nothing can be looked at. */
function closed(target: object): object {
  const refuse = (): never => {
    throw new Error("closed");
  };
  return new Proxy(target, { get: refuse, has: refuse, ownKeys: refuse, getPrototypeOf: refuse });
}

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable([], {});
  revoke();
  return proxy;
}

/** A list whose first value is another each time it is read. */
function changing(): unknown {
  let reads = 0;
  return {
    length: 1,
    get 0() {
      return reads++ === 0 ? 1 : "another";
    },
  };
}

function transferred(): Float32Array {
  const numbers = new Float32Array(48);
  structuredClone(numbers, { transfer: [numbers.buffer] });
  return numbers;
}

/** Values of another realm, as test runners and frames make them. */
const realm = createContext();
const foreign = (code: string): unknown => runInContext(code, realm);

export const oddValues: readonly (readonly [name: string, make: () => unknown])[] = [
  ["undefined", () => undefined],
  ["null", () => null],
  ["true", () => true],
  ["false", () => false],
  ["-0", () => -0],
  ["-1", () => -1],
  ["0", () => 0],
  ["1", () => 1],
  ["0.5", () => 0.5],
  ["NaN", () => Number.NaN],
  ["Infinity", () => Number.POSITIVE_INFINITY],
  ["-Infinity", () => Number.NEGATIVE_INFINITY],
  ["2^32 + 1", () => 2 ** 32 + 1],
  ["2^53", () => 2 ** 53],
  ["1e308", () => 1e308],
  ["1e-320", () => 1e-320],
  ["a bigint", () => 10n],
  ["a symbol", () => Symbol("odd")],
  ["an empty text", () => ""],
  ["a number's text", () => "0.5"],
  ["constructor", () => "constructor"],
  ["__proto__", () => "__proto__"],
  ["half a surrogate pair", () => "\ud800"],
  ["a long text", () => "x".repeat(100_000)],
  ["a function", () => () => undefined],
  ["an empty list", () => []],
  ["a list of null", () => [null]],
  ["a sparse list", () => new Array(3)],
  ["a list of NaN", () => [Number.NaN]],
  ["a list of -1", () => [-1]],
  ["a list of 2^32", () => [2 ** 32]],
  ["a list of a text", () => ["a"]],
  ["a list of lists", () => [[0.5]]],
  ["a deep list", () => nested(50_000)],
  ["a cyclic list", cyclic],
  ["an object", () => ({})],
  ["a list without items", () => ({ length: 3 })],
  ["a list as long as can be", () => ({ length: 2 ** 32 })],
  ["a list of negative length", () => ({ length: -1 })],
  ["an object with odd names", () => JSON.parse('{"__proto__": 1, "constructor": 2, "toString": 3}')],
  ["an object without a prototype", () => Object.create(null)],
  ["a Map", () => new Map([["constructor", 1]])],
  ["a Map with odd keys", () => new Map([[Symbol("odd"), 1]])],
  ["a Set", () => new Set([1])],
  ["a Date", () => new Date(Number.NaN)],
  ["a RegExp", () => /x/],
  ["a promise", () => Promise.resolve(1)],
  ["an error", () => new Error("odd")],
  ["bytes", () => new Uint8Array(3)],
  ["a buffer", () => new ArrayBuffer(3)],
  ["float64s", () => Float64Array.of(Number.NaN)],
  ["bigints", () => BigInt64Array.of(-1n)],
  ["a DataView", () => new DataView(new ArrayBuffer(3))],
  ["an object that throws", () => closed({})],
  [
    "a list with a getter that throws",
    () => ({
      length: 1,
      get 0() {
        throw new RangeError("no");
      },
    }),
  ],
  ["a revoked proxy", revoked],
  ["a proxy of bytes", () => new Proxy(new Uint8Array(3), {})],
  ["a list that changes", changing],
  ["a list without end", () => new Proxy([], { get: (_, name) => (name === "length" ? 2 ** 52 : 1) })],
  ["a transferred array", transferred],
  ["shared bytes", () => new Uint8Array(new SharedArrayBuffer(3))],
  ["another realm's list", () => foreign("[1, 2]")],
  ["an AbortSignal", () => AbortSignal.abort()],
  ["an AbortController", () => new AbortController()],
  ["an address", () => new URL("https://example.invalid/")],
];
