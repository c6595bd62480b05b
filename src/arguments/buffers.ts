/** Arrays whose bytes are not simply the caller's: moved away, shared with another thread, or able to grow. */

/** Whether an array's buffer was transferred, so that it looks empty. */
export function isDetached(value: unknown): boolean {
  if (!ArrayBuffer.isView(value) || value.byteLength > 0) return false;
  try {
    return new Uint8Array(value.buffer).length < 0;
  } catch {
    return true;
  }
}

/** The bytes of an array or buffer of any realm, in a buffer of this one; undefined for anything else. */
export function bytesOf(value: unknown): Uint8Array<ArrayBuffer> | undefined {
  if (isKind(value, "Uint8Array") && ArrayBuffer.isView(value)) {
    const { buffer, byteOffset, byteLength } = value;
    return fixed(new Uint8Array(buffer, byteOffset, byteLength));
  }
  if (isKind(value, "ArrayBuffer") || isKind(value, "SharedArrayBuffer")) {
    // Unlike Uint8Array, it takes nothing else.
    return fixed(new Uint8Array(new DataView(value as ArrayBuffer).buffer));
  }
  return undefined;
}

/** Whether a value is of a class of the platform, in whichever realm it was made. */
export function isKind(value: unknown, name: string): boolean {
  return Object.prototype.toString.call(value) === `[object ${name}]`;
}

/** A copy of bytes that another thread could change meanwhile, or that decoders do not take. */
function fixed(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer } = bytes;
  const isPlain = isKind(buffer, "ArrayBuffer") && !(buffer as { readonly resizable?: boolean }).resizable;
  return isPlain ? (bytes as Uint8Array<ArrayBuffer>) : Uint8Array.from(bytes);
}
