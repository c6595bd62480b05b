/** Which of a command's outputs have been written, for what is said of an interruption. */
const paths = new Set<string>();

/** @param path as the user named it */
export function noteWritten(path: string): void {
  paths.add(path);
}

export function isWritten(path: string): boolean {
  return paths.has(path);
}

/** Before a command begins. */
export function forgetWritten(): void {
  paths.clear();
}
