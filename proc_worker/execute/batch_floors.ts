/**
 * Which batches may still run here. A dispatcher gives a batch up when its answer was lost or came too late; such a batch
 * can still turn up (it waited in a socket while the process was stopped). By its number it is known and refused; while an
 * older batch is still waited for, its number is above the floor, and its operations are known by their later attempts.
 */
import { REPEATED_OPERATIONS_MAX } from "../../shared/limits.ts";
import type { Operation } from "../../shared/wire/messages.ts";

interface Dispatcher {
  floor: number;
  /** Floor that the dispatcher waits for, because it has writes without an answer. */
  asked: number;
  readonly running: Set<number>;
  /** What was last reported as finished. */
  finished: number;
  /** Repeated operations by their ids: the newest attempt that has come, until the floor is above the batch it came in. */
  readonly repeated: Map<string, { readonly attempt: number; readonly seq: number }>;
}

/** Dispatchers that are remembered; the main worker starts rarely, and has few front threads. */
const DISPATCHERS_MAX = 256;

export class BatchFloors {
  readonly #dispatchers = new Map<string, Dispatcher>();
  readonly #onFinished: () => void;

  /** `onFinished` is called when more is finished of what a dispatcher has asked for by {@linkcode raise}. */
  constructor(onFinished: () => void) {
    this.#onFinished = onFinished;
  }

  #get(id: string): Dispatcher {
    let dispatcher = this.#dispatchers.get(id);
    if (dispatcher === undefined) {
      dispatcher = { floor: 0, asked: 0, running: new Set(), finished: 0, repeated: new Map() };
      this.#dispatchers.set(id, dispatcher);
      if (this.#dispatchers.size > DISPATCHERS_MAX) {
        for (const [oldest, { running }] of this.#dispatchers) {
          if (running.size === 0 && oldest !== id) {
            this.#dispatchers.delete(oldest);
            break;
          }
        }
      }
    }
    return dispatcher;
  }

  /** Admits a batch: `false` when it was given up by its dispatcher. After `true`, {@linkcode end} must be called. */
  begin(id: string, seq: number, floor: number): boolean {
    const dispatcher = this.#get(id);
    this.#lift(dispatcher, floor);
    if (seq < dispatcher.floor) return false;
    dispatcher.running.add(seq);
    return true;
  }

  #lift(dispatcher: Dispatcher, floor: number): void {
    if (floor <= dispatcher.floor) return;
    dispatcher.floor = floor;
    for (const [opId, { seq }] of dispatcher.repeated) if (seq < floor) dispatcher.repeated.delete(opId);
  }

  /**
   * Admits an operation of a batch that runs. `false`: a later attempt of it has come before this one, which was given up. What
   * the later one did may be answered and written over by now, and is not known by its id in the entity any more.
   */
  admit(id: string, seq: number, { opId, attempt }: Pick<Operation, "opId" | "attempt">): boolean {
    const { repeated } = this.#get(id);
    const newest = repeated.get(opId);
    if (newest !== undefined && attempt < newest.attempt) return false;
    if (attempt === 1) return true;
    if (newest === undefined && repeated.size >= REPEATED_OPERATIONS_MAX) return false;
    repeated.set(opId, { attempt, seq });
    return true;
  }

  end(id: string, seq: number): void {
    const dispatcher = this.#get(id);
    dispatcher.running.delete(seq);
    if (this.#hasNews(dispatcher)) this.#onFinished();
  }

  /** Everything below `floor` is given up: what has not begun will not run, and the dispatcher waits for what runs. */
  raise(id: string, floor: number): void {
    const dispatcher = this.#get(id);
    this.#lift(dispatcher, floor);
    dispatcher.asked = Math.max(dispatcher.asked, floor);
  }

  #finished(dispatcher: Dispatcher): number {
    let finished = dispatcher.floor;
    for (const seq of dispatcher.running) finished = Math.min(finished, seq);
    return finished;
  }

  /** Batches raise the floor all the time; only what is waited for is worth a message of its own. */
  #hasNews(dispatcher: Dispatcher): boolean {
    return dispatcher.finished < dispatcher.asked && this.#finished(dispatcher) > dispatcher.finished;
  }

  /** Whether something that a dispatcher waits for has finished and was not reported yet. */
  pending(): boolean {
    for (const dispatcher of this.#dispatchers.values()) if (this.#hasNews(dispatcher)) return true;
    return false;
  }

  /** For each dispatcher: every batch below `floor` has ended, and none of them will begin. */
  report(): { dispatcher: string; floor: number }[] {
    return [...this.#dispatchers].map(([id, dispatcher]) => {
      dispatcher.finished = this.#finished(dispatcher);
      return { dispatcher: id, floor: dispatcher.finished };
    });
  }
}
