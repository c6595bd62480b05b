/** Writes NumPy's archives of arrays, .npz, as numpy.savez does. */
import { writeZip } from "./write-zip.ts";

/** Where the data of an array begins is a multiple of this. */
const ALIGNMENT = 64;

/** @param arrays one-dimensional, by name */
export function writeNumpyArchive(arrays: ReadonlyMap<string, Float32Array>): Uint8Array<ArrayBuffer> {
  return writeZip(new Map([...arrays].map(([name, values]) => [`${name}.npy`, writeNumpyArray(values)])));
}

function writeNumpyArray(values: Float32Array): Uint8Array {
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${values.length},), }`;
  const length = Math.ceil((10 + text.length + 1) / ALIGNMENT) * ALIGNMENT;
  const bytes = new Uint8Array(length + values.byteLength);
  const header = new TextEncoder().encode(`${text.padEnd(length - 11)}\n`);
  // Magic, and version 1.0 of the format.
  bytes.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length & 0xff, header.length >> 8]);
  bytes.set(header, 10);
  bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), length);
  return bytes;
}
