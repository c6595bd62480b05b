/** What has become of a command's outputs, for what is said of an interruption. Paths are as the user named them. */
const wanted = new Set<string>();
const written = new Set<string>();
const kept = new Set<string>();

/** A file that will be written, also one that no option names. */
export function noteWanted(path: string): void {
  wanted.add(path);
}

export function noteWritten(path: string): void {
  written.add(path);
}

/** A file that holds what the same line would go on from. */
export function noteKept(path: string): void {
  kept.add(path);
}

/** Before a command begins. */
export function forgetOutputs(): void {
  for (const paths of [wanted, written, kept]) paths.clear();
}

/**
 * In words; empty if there is nothing to say.
 * @param named outputs that the line names
 */
export function whatBecame(named: readonly string[]): string {
  const outputs = [...new Set([...named, ...wanted])];
  const parts = [
    told(
      outputs.filter((path) => written.has(path)),
      "was written",
      "were written",
    ),
    told(
      outputs.filter((path) => !written.has(path)),
      "was not written",
      "were not written",
    ),
    told([...kept], "keeps what was measured", "keep what was measured"),
  ];
  return parts.filter((text) => text !== "").join("; ");
}

function told(paths: readonly string[], one: string, many: string): string {
  return paths.length === 0 ? "" : `${paths.join(" and ")} ${paths.length > 1 ? many : one}`;
}
