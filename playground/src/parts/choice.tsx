/** One of a few, side by side: radio buttons that look like one switch. */
import { useId } from "preact/hooks";

interface Props<Name extends string> {
  readonly label: string;
  readonly names: readonly Name[];
  readonly chosen: Name;
  readonly disabled?: boolean;
  readonly onChoose: (name: Name) => void;
}

export function Choice<Name extends string>({ label, names, chosen, disabled, onChoose }: Props<Name>) {
  const group = useId();
  return (
    <fieldset class="choice" aria-label={label} disabled={disabled}>
      {names.map((name) => (
        <label key={name}>
          <input type="radio" name={group} checked={name === chosen} onChange={() => onChoose(name)} />
          <span>{name}</span>
        </label>
      ))}
    </fieldset>
  );
}
