/** Tabs: one stop of the tab key, arrows between them. */
import { useRef } from "preact/hooks";

export const panelId = "panel";
export const tabId = (name: string) => `tab-${name.toLowerCase()}`;

interface Props<Name extends string> {
  readonly label: string;
  readonly names: readonly Name[];
  readonly open: Name;
  readonly onOpen: (name: Name) => void;
}

export function Tabs<Name extends string>({ label, names, open, onOpen }: Props<Name>) {
  const list = useRef<HTMLDivElement>(null);
  const go = (event: KeyboardEvent) => {
    const at = names.indexOf(open);
    const steps: Readonly<Record<string, number>> = {
      ArrowRight: (at + 1) % names.length,
      ArrowLeft: (at - 1 + names.length) % names.length,
      Home: 0,
      End: names.length - 1,
    };
    const next = names[steps[event.key] ?? -1];
    if (next === undefined) return;
    event.preventDefault();
    onOpen(next);
    list.current?.querySelector<HTMLElement>(`#${tabId(next)}`)?.focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label={label} ref={list} onKeyDown={go}>
      {names.map((name) => (
        <button
          key={name}
          type="button"
          role="tab"
          id={tabId(name)}
          aria-selected={name === open}
          aria-controls={panelId}
          tabIndex={name === open ? 0 : -1}
          onClick={() => onOpen(name)}
        >
          {name}
        </button>
      ))}
    </div>
  );
}
