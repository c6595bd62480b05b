/** Reading protocol buffers: the fields of one message, without a schema. */
import { malformed } from "./models/vocabulary.ts";

/** One field of a message: its number, and a whole number, bytes, or four bytes that hold a float32. */
export interface ProtobufField {
  readonly number: number;
  readonly value: number | Uint8Array;
}

/** Field values by how they are stored. https://protobuf.dev/programming-guides/encoding/ */
const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

/**
 * The fields of a message in the order of the file. Whole numbers beyond 2^53 lose their last bits.
 * @throws SluiceError `bad_file` if the bytes are not a message
 */
export function* readMessage(bytes: Uint8Array): Generator<ProtobufField> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = bytes[at++];
      if (byte === undefined) throw malformed("the protocol buffer ends inside a number");
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw malformed("the protocol buffer holds a number of more than ten bytes");
  };
  const take = (length: number): Uint8Array => {
    if (length > bytes.length - at) throw malformed("the protocol buffer ends inside a field");
    at += length;
    return bytes.subarray(at - length, at);
  };
  while (at < bytes.length) {
    const tag = varint();
    const number = Math.floor(tag / 8);
    const type = tag % 8;
    if (number === 0) throw malformed("the protocol buffer has a field without a number");
    if (type === VARINT) yield { number, value: varint() };
    else if (type === BYTES) yield { number, value: take(varint()) };
    else if (type === FIXED32) yield { number, value: take(4) };
    else if (type === FIXED64) yield { number, value: take(8) };
    else throw malformed(`the protocol buffer has a field of type ${type}`);
  }
}
