/** Questions that must be answered before something goes on: "Discard your changes?" */
import { type ReadonlySignal, signal } from "@preact/signals";

interface Question {
  readonly title: string;
  readonly text: string;
  /** What the confirming button says: the verb. */
  readonly confirm: string;
  /** Confirming destroys something. */
  readonly danger?: boolean;
}

/** One question at a time, shown over the page. */
export class Questions {
  readonly #pending = signal<{ question: Question; answer(yes: boolean): void } | null>(null);
  readonly pending: ReadonlySignal<{ question: Question; answer(yes: boolean): void } | null> = this.#pending;

  /** Resolves with whether the user confirmed. A question that is still open is answered with no. */
  ask(question: Question): Promise<boolean> {
    this.#pending.value?.answer(false);
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#pending.value = {
      question,
      answer: (yes) => {
        this.#pending.value = null;
        resolve(yes);
      },
    };
    return promise;
  }
}
