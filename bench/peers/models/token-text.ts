/** The made-up vocabulary of the models measured here: a text spells out its ids. */

export function tokenText(id: number): string {
  return `<${id}>`;
}

/** Ids of a text made of {@link tokenText}. */
export function tokensOfText(text: string): readonly number[] {
  return [...text.matchAll(/<(\d+)>/g)].map(([, id]) => Number(id));
}
