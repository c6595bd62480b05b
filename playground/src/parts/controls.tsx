/** Labelled controls. */
import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";

interface SliderProps {
  readonly label: string;
  readonly value: number;
  readonly least: number;
  readonly most: number;
  readonly step?: number;
  /** The value in words. */
  readonly words: string;
  readonly onChange: (value: number) => void;
}

export function Slider({ label, value, least, most, step = 0.05, words, onChange }: SliderProps) {
  const id = useId();
  return (
    <div class="slider">
      <label class="label" for={id}>
        {label}
      </label>
      <span class="value" aria-hidden="true">
        {words} <b>{value.toFixed(2)}</b>
      </span>
      <input
        id={id}
        type="range"
        min={least}
        max={most}
        step={step}
        value={value}
        aria-valuetext={`${value.toFixed(2)}, ${words}`}
        onInput={({ currentTarget }) => onChange(currentTarget.valueAsNumber)}
      />
    </div>
  );
}

interface SwitchProps {
  readonly label: string;
  readonly checked: boolean;
  readonly onChange: (checked: boolean) => void;
}

export function Switch({ label, checked, onChange }: SwitchProps) {
  return (
    <label class="switch">
      <input
        type="checkbox"
        role="switch"
        aria-checked={checked}
        checked={checked}
        onChange={({ currentTarget }) => onChange(currentTarget.checked)}
      />
      {label}
    </label>
  );
}

interface NumberFieldProps {
  readonly label: string;
  readonly value: number;
  readonly least: number;
  readonly most: number;
  readonly step: number | "any";
  readonly onChange: (value: number) => void;
}

export function NumberField({ label, value, least, most, step, onChange }: NumberFieldProps) {
  return (
    <label class="field">
      <span>{label}</span>
      <input
        type="number"
        value={value}
        min={least}
        max={most}
        step={step}
        onInput={({ currentTarget: { valueAsNumber: given } }) => {
          if (given >= least && given <= most) onChange(given);
        }}
        onChange={({ currentTarget }) => {
          const given = currentTarget.valueAsNumber;
          const valid = Number.isFinite(given) ? Math.min(most, Math.max(least, given)) : value;
          currentTarget.value = String(valid);
          onChange(valid);
        }}
      />
    </label>
  );
}

interface FileButtonProps {
  /** The input's name. */
  readonly label: string;
  readonly accept?: string;
  readonly isFolder?: boolean;
  readonly multiple?: boolean;
  readonly onFiles: (files: readonly File[]) => void;
  readonly children: ComponentChildren;
}

export function FileButton({ label, accept, isFolder, multiple, onFiles, children }: FileButtonProps) {
  return (
    <span class="file-button">
      <span aria-hidden="true">{children}</span>
      <input
        type="file"
        aria-label={label}
        accept={accept}
        multiple={multiple}
        {...(isFolder && { webkitdirectory: true })}
        onChange={({ currentTarget }) => {
          onFiles([...(currentTarget.files ?? [])]);
          currentTarget.value = "";
        }}
      />
    </span>
  );
}

interface ProgressProps {
  readonly label: string;
  readonly words: string;
  readonly done: number;
  readonly total: number;
}

export function Progress({ label, words, done, total }: ProgressProps) {
  const known = total > 0;
  return (
    <div class="progress">
      <span>{words}</span>
      <progress aria-label={label} max={1} {...(known && { value: Math.min(1, done / total) })} />
    </div>
  );
}
