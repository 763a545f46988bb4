/** Short messages at the edge of the screen: what has just happened, and a way to take it back. */
import { type ReadonlySignal, signal } from "@preact/signals";

interface Toast {
  readonly id: number;
  readonly kind: "done" | "failed" | "note";
  readonly text: string;
  readonly action?: { readonly label: string; run(): void };
}

const VISIBLE_MAX = 4;
const LIFE_MS = 5_000;
const LIFE_WITH_ACTION_MS = 12_000;

/** The messages that are on the screen now; each leaves by itself. */
export class Toasts {
  readonly #list = signal<readonly Toast[]>([]);
  readonly list: ReadonlySignal<readonly Toast[]> = this.#list;
  #next = 1;

  show(kind: Toast["kind"], text: string, action?: Toast["action"]): void {
    const id = this.#next++;
    const toast: Toast = action ? { id, kind, text, action } : { id, kind, text };
    this.#list.value = [...this.#list.value, toast].slice(-VISIBLE_MAX);
    const life = action || kind === "failed" ? LIFE_WITH_ACTION_MS : LIFE_MS;
    setTimeout(() => this.dismiss(id), life);
  }

  dismiss(id: number): void {
    this.#list.value = this.#list.value.filter((toast) => toast.id !== id);
  }
}
