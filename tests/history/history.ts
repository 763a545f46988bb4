/** What clients did and were told, in the order of one clock: the material of the {@linkcode file://./linearizable.ts} checker. */

/** What a client asked for. Documents are JSON objects that one write field by field identifies. */
export type Call =
  /** `listed`: by a listing with values, past every cache. */
  | { readonly kind: "get"; readonly listed?: boolean }
  | { readonly kind: "put"; readonly value: string; readonly ifMatch?: string; readonly ifAbsent?: boolean }
  | { readonly kind: "patch"; readonly field: string; readonly value: string }
  | { readonly kind: "delete"; readonly ifMatch?: string };

/**
 * What it was told. `refused`: surely nothing was changed. `unknown`: no answer, or one that says so; a write may have taken
 * effect, or may still do so.
 */
export type Told =
  | { readonly kind: "found"; readonly value: string; readonly version: number; readonly etag: string }
  | { readonly kind: "absent" }
  | { readonly kind: "stored"; readonly version: number; readonly etag: string }
  | { readonly kind: "deleted"; readonly existed: boolean | undefined }
  | { readonly kind: "mismatch" }
  | { readonly kind: "refused" }
  | { readonly kind: "unknown" };

/** One call of one client on one key. */
export interface Operation {
  readonly client: number;
  readonly key: string;
  readonly call: Call;
  /** Position of the call and of the answer in the order of all of them. */
  readonly called: number;
  answered: number;
  told: Told;
}

/** Records calls and answers by a counter, which is exact where a clock is not. */
export class History {
  readonly operations: Operation[] = [];
  #now = 0;

  /** Notes a call; the returned function notes its answer. Without an answer it stays `unknown`. */
  call(client: number, key: string, call: Call): (told: Told) => void {
    const operation: Operation = {
      client,
      key,
      call,
      called: this.#now++,
      answered: Infinity,
      told: { kind: "unknown" },
    };
    this.operations.push(operation);
    return (told) => {
      operation.told = told;
      operation.answered = told.kind === "unknown" ? Infinity : this.#now++;
    };
  }

  /** The operations on each key. */
  byKey(): Map<string, Operation[]> {
    const keys = new Map<string, Operation[]>();
    for (const operation of this.operations) {
      const own = keys.get(operation.key);
      if (own === undefined) keys.set(operation.key, [operation]);
      else own.push(operation);
    }
    return keys;
  }
}
