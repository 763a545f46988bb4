/**
 * Which batches may still run here. A dispatcher gives a batch up when its answer was lost or came too late; such a batch
 * can still turn up (it waited in a socket while the process was stopped). By its number it is known and refused.
 */

interface Dispatcher {
  floor: number;
  readonly running: Set<number>;
  /** What was last reported as finished. */
  finished: number;
}

/** Dispatchers that are remembered; the main worker starts rarely, and has few front threads. */
const DISPATCHERS_MAX = 256;

export class BatchFloors {
  readonly #dispatchers = new Map<string, Dispatcher>();
  readonly #onFinished: () => void;

  /** `onFinished` is called when a floor that was raised has become true. */
  constructor(onFinished: () => void) {
    this.#onFinished = onFinished;
  }

  #get(id: string): Dispatcher {
    let dispatcher = this.#dispatchers.get(id);
    if (dispatcher === undefined) {
      dispatcher = { floor: 0, running: new Set(), finished: 0 };
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
    this.raise(id, floor);
    const dispatcher = this.#get(id);
    if (seq < dispatcher.floor) return false;
    dispatcher.running.add(seq);
    return true;
  }

  end(id: string, seq: number): void {
    const dispatcher = this.#get(id);
    dispatcher.running.delete(seq);
    if (dispatcher.finished < dispatcher.floor && this.#finished(dispatcher) > dispatcher.finished) this.#onFinished();
  }

  /** Everything below `floor` is given up: what has not begun will not run, what runs is waited for. */
  raise(id: string, floor: number): void {
    const dispatcher = this.#get(id);
    if (floor > dispatcher.floor) dispatcher.floor = floor;
  }

  #finished(dispatcher: Dispatcher): number {
    let finished = dispatcher.floor;
    for (const seq of dispatcher.running) finished = Math.min(finished, seq);
    return finished;
  }

  /** Whether something has finished that was not reported yet. */
  pending(): boolean {
    for (const dispatcher of this.#dispatchers.values()) {
      if (this.#finished(dispatcher) > dispatcher.finished) return true;
    }
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
