/// <reference lib="dom" />
/** Light or dark: what the system says, until somebody chooses. `../theme.ts` applies the choice before the first paint. */
import { computed, effect, type ReadonlySignal, signal } from "@preact/signals";

type ThemeChoice = "light" | "dark";

const STORAGE_KEY = "deltadb.theme";

/** The colours of this browser. Once per tab: it listens to the system. */
export class Theme {
  readonly #chosen = signal<ThemeChoice | null>(null);
  readonly #systemDark = signal(false);
  readonly current: ReadonlySignal<ThemeChoice> = computed(() =>
    this.#chosen.value ?? (this.#systemDark.value ? "dark" : "light")
  );

  constructor() {
    const chosen = document.documentElement.dataset.theme;
    if (chosen === "light" || chosen === "dark") this.#chosen.value = chosen;
    const query = matchMedia("(prefers-color-scheme: dark)");
    this.#systemDark.value = query.matches;
    query.addEventListener("change", () => {
      this.#systemDark.value = query.matches;
    });
    effect(() => {
      if (this.#chosen.value) document.documentElement.dataset.theme = this.#chosen.value;
    });
  }

  toggle(): void {
    const next = this.current.value === "dark" ? "light" : "dark";
    localStorage.setItem(STORAGE_KEY, next);
    this.#chosen.value = next;
  }
}
