/** Dark or light: the system's choice until somebody makes another. */
import { signal } from "@preact/signals";
import { Moon, Sun } from "./icons.tsx";

const key = "sluice-theme";
const asked = signal<string | null>(localStorage.getItem(key));
const system = matchMedia("(prefers-color-scheme: dark)");
if (asked.value) document.documentElement.dataset.theme = asked.value;

export function ThemeButton() {
  const isDark = asked.value === null ? system.matches : asked.value === "dark";
  const next = isDark ? "light" : "dark";
  return (
    <button
      type="button"
      class="icon-button"
      aria-label={`Switch to ${next} colours`}
      onClick={() => {
        asked.value = next;
        localStorage.setItem(key, next);
        document.documentElement.dataset.theme = next;
      }}
    >
      {isDark ? <Sun /> : <Moon />}
    </button>
  );
}
