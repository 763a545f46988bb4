/// <reference lib="dom" />
/** Parts of the program that are fetched when they are needed for the first time. */
import { useEffect, useState } from "preact/hooks";
import { Unreachable } from "../api/errors.ts";
import { useApp } from "./app.ts";

/** A part that is not there although the server answers: another version was started meanwhile. */
export class PartMissing extends Error {
  override name = "PartMissing";

  constructor() {
    super("This part of the page could not be fetched. The program may have been updated: reload the page.");
  }
}

/** A part, or why it is not there; neither while it is being fetched. */
export interface LazyModule<T> {
  readonly part: T | undefined;
  /** {@linkcode Unreachable}, which passes, or {@linkcode PartMissing}, which only a new page mends. */
  readonly problem: Unreachable | PartMissing | undefined;
  /** Fetches it again, or the whole page where only that helps. */
  retry(): void;
}

/** What was fetched, so that it is there at once the next time. */
const fetched = new WeakMap<() => Promise<unknown>, unknown>();

/** Fetches a part when the component appears, and again when the server is back. A part goes by its `load`. */
export function useLazyModule<T>(load: () => Promise<T>): LazyModule<T> {
  const { anonymous, connection } = useApp();
  const [problem, setProblem] = useState<Unreachable | PartMissing>();
  const [, setReady] = useState(fetched.has(load));
  const fetchPart = async () => {
    try {
      fetched.set(load, await load());
      setReady(true);
      setProblem(undefined);
    } catch {
      // The browser does not say why. Asking the server tells, and begins to wait for it if it is away.
      const answers = await anonymous.request("/health").then(() => true, (error) => !(error instanceof Unreachable));
      setProblem(answers ? new PartMissing() : new Unreachable("no answer"));
    }
  };
  const generation = connection.generation.value;
  useEffect(() => {
    if (!fetched.has(load)) fetchPart();
  }, [generation]);
  return {
    part: fetched.get(load) as T | undefined,
    problem,
    retry: () => problem instanceof PartMissing ? location.reload() : void fetchPart(),
  };
}
