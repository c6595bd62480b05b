/** Figures as they are shown everywhere: one with its name, or a table of them. */
import type { ComponentChildren } from "preact";

/** In a `<dl class="figures">`. */
export function Figure({
  name,
  value,
  unit,
}: {
  readonly name: string;
  readonly value: string;
  /** Unit, interval or condition. */
  readonly unit: string;
}) {
  return (
    <div class="figure">
      <dt>{name}</dt>
      <dd>
        {value}
        <small>{unit}</small>
      </dd>
    </div>
  );
}

/** Columns of words stand left, columns of figures right. */
export function FiguresTable({
  caption,
  words,
  figures,
  children,
}: {
  /** For screen readers. */
  readonly caption: string;
  readonly words: readonly string[];
  readonly figures: readonly string[];
  /** Rows. */
  readonly children: ComponentChildren;
}) {
  return (
    <table>
      <caption class="unseen">{caption}</caption>
      <thead>
        <tr>
          {words.map((name) => (
            <th key={name} scope="col">
              {name}
            </th>
          ))}
          {figures.map((name) => (
            <th key={name} scope="col" class="right">
              {name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>{children}</tbody>
    </table>
  );
}

export function FiguresRow({
  name,
  words = [],
  figures,
}: {
  readonly name: ComponentChildren;
  readonly words?: readonly string[];
  readonly figures: readonly string[];
}) {
  return (
    <tr>
      <th scope="row">{name}</th>
      {words.map((word, i) => (
        <td key={i}>{word}</td>
      ))}
      {figures.map((figure, i) => (
        <td key={i} class="right">
          {figure}
        </td>
      ))}
    </tr>
  );
}
