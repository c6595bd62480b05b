/** Hands the user a file. */
export function saveFile(name: string, contents: Uint8Array | string, type: string): void {
  const address = URL.createObjectURL(new Blob([contents as BlobPart], { type }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  // The download has begun by then.
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
