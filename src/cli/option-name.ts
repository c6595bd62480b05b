/** How an option is typed. */

/** `maxNewTokens` as it is typed: `--max-new-tokens`. */
export function optionName(key: string): string {
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
