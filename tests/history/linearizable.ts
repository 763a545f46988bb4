/**
 * Decides whether the history of one key is that of a linearizable register with versions and conditions: is there one order
 * of its operations, each between its call and its answer, in which a single register would have given the same answers?
 * Search after Wing and Gong (1993) with the memory of visited configurations of Lowe (2017). Writes with an unknown outcome
 * may take effect at any time after their call, or never.
 */
import type { Operation } from "./history.ts";

/** The register. `etag` is known only when an answer told it; two writes never have the same. */
interface State {
  /** `undefined`: absent. */
  readonly value: string | undefined;
  readonly version: number;
  readonly etag: string | undefined;
}

const ABSENT: State = { value: undefined, version: 0, etag: undefined };

/** Result of a check; `stuck`: the operations of which none could come next in the longest order found. */
export type Verdict =
  | { readonly kind: "linearizable" }
  | {
    readonly kind: "violation";
    readonly placed: readonly Operation[];
    readonly stuck: readonly Operation[];
    readonly state: string;
  }
  /** The search was cut off; the history is too entangled for the given number of steps. */
  | { readonly kind: "undecided" };

/** The value of a document after a patch that sets one field; documents are flat JSON objects with sorted fields. */
export function patched(value: string, field: string, fieldValue: string): string {
  const document = { ...JSON.parse(value) as Record<string, string>, [field]: fieldValue };
  return JSON.stringify(Object.fromEntries(Object.entries(document).sort(([a], [b]) => a < b ? -1 : 1)));
}

/** The same document with its fields sorted, so that equal documents are equal strings. */
export function normalized(value: string): string {
  return JSON.stringify(
    Object.fromEntries(Object.entries(JSON.parse(value) as Record<string, string>).sort(([a], [b]) => a < b ? -1 : 1)),
  );
}

/** The state after an operation, or `undefined` when the register would have told something else. */
function step(state: State, { call, told }: Operation): State | undefined {
  const matches = (etag: string) => state.value !== undefined && (state.etag === undefined || state.etag === etag);
  switch (call.kind) {
    case "get":
      if (told.kind === "absent") return state.value === undefined ? state : undefined;
      if (told.kind !== "found") return state;
      if (state.value !== told.value || state.version !== told.version || !matches(told.etag)) return undefined;
      return { ...state, etag: told.etag };
    case "put":
    case "patch": {
      const ifAbsent = call.kind === "put" && call.ifAbsent === true;
      const ifMatch = call.kind === "put" ? call.ifMatch : undefined;
      const holds = ifAbsent ? state.value === undefined : ifMatch === undefined || matches(ifMatch);
      const misses = ifAbsent
        ? state.value !== undefined
        : ifMatch !== undefined && !(state.etag === ifMatch && state.value !== undefined);
      if (told.kind === "mismatch") return misses ? state : undefined;
      if (call.kind === "patch" && told.kind === "absent") return state.value === undefined ? state : undefined;
      if (!holds || (call.kind === "patch" && state.value === undefined)) return undefined;
      const value = call.kind === "put" ? call.value : patched(state.value!, call.field, call.value);
      const after = { value, version: state.version + 1, etag: undefined };
      if (told.kind === "unknown") return after;
      if (told.kind !== "stored" || told.version !== after.version) return undefined;
      return { ...after, etag: told.etag };
    }
    case "delete": {
      const holds = call.ifMatch === undefined || matches(call.ifMatch);
      const misses = call.ifMatch !== undefined && !(state.etag === call.ifMatch && state.value !== undefined);
      if (told.kind === "mismatch") return misses ? state : undefined;
      if (!holds) return undefined;
      const existed = state.value !== undefined;
      if (told.kind === "deleted" && told.existed !== undefined && told.existed !== existed) return undefined;
      return ABSENT;
    }
  }
}

/** Checks the operations of one key, on a register that was absent before the first. */
export function check(history: readonly Operation[], stepsMax = 2_000_000): Verdict {
  // What surely changed nothing, and reads without an answer, say nothing.
  const operations = history
    .filter(({ call, told }) => told.kind !== "refused" && !(call.kind === "get" && told.kind === "unknown"))
    .sort((a, b) => a.called - b.called);
  const open = operations.filter((operation) => operation.told.kind !== "unknown").length;
  const visited = new Set<string>();
  const done = new Array<boolean>(operations.length).fill(false);
  const order: Operation[] = [];
  let best: { placed: Operation[]; state: State } = { placed: [], state: ABSENT };
  let steps = 0;

  /** Operations that may come next: those called before any operation that is still to come was answered. */
  function candidates(): number[] {
    let horizon = Infinity;
    operations.forEach((operation, i) => {
      if (!done[i]) horizon = Math.min(horizon, operation.answered);
    });
    const next: number[] = [];
    operations.forEach((operation, i) => {
      if (!done[i] && operation.called < horizon) next.push(i);
    });
    // Certain ones first: an unknown one is only needed when they do not fit.
    return next.sort((a, b) =>
      Number(operations[a]!.answered === Infinity) - Number(operations[b]!.answered === Infinity)
    );
  }

  function search(state: State, left: number): boolean | undefined {
    if (left === 0) return true;
    if (++steps > stepsMax) return undefined;
    const configuration = done.map((d) => d ? "1" : "0").join("") + `|${state.version}|${state.etag}|${state.value}`;
    if (visited.has(configuration)) return false;
    visited.add(configuration);
    for (const i of candidates()) {
      const operation = operations[i]!;
      const after = step(state, operation);
      if (after === undefined) continue;
      done[i] = true;
      order.push(operation);
      if (order.length > best.placed.length) best = { placed: [...order], state: after };
      const result = search(after, left - (operation.told.kind === "unknown" ? 0 : 1));
      if (result !== false) return result;
      order.pop();
      done[i] = false;
    }
    return false;
  }

  const result = search(ABSENT, open);
  if (result === true) return { kind: "linearizable" };
  if (result === undefined) return { kind: "undecided" };
  const placed = new Set(best.placed);
  return {
    kind: "violation",
    placed: best.placed,
    stuck: operations.filter((operation) => !placed.has(operation)),
    state: JSON.stringify(best.state),
  };
}
