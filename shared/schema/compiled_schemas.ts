/** The validators that a worker has ready, by the hash of their schemas' texts. */
import { createHash } from "node:crypto";
import { LRUCache } from "lru-cache";
import { COMPILED_SCHEMAS_BYTES_MAX, COMPILED_SCHEMAS_MAX } from "../limits.ts";
import { compileSchema, type Validator } from "./validator.ts";

/** What became of a text. `invalid`: kept under its hash as a validator that no document passes. */
export type Added =
  | { readonly kind: "added" }
  | { readonly kind: "invalid"; readonly message: string }
  | { readonly kind: "hash_mismatch" };

/** Hex SHA-256 of a template's text, by which everybody names it. */
export function templateHash(text: Uint8Array): string {
  return createHash("sha256").update(text).digest("hex");
}

/**
 * A bounded cache of validators, least recently used out first. What is in it is what its hash says, for ever, so
 * anybody may add to it at any time: nothing is replaced and nothing can be stale.
 */
export class CompiledSchemas {
  readonly #validators: LRUCache<string, Validator>;

  /**
   * @param max Validators, at most.
   * @param maxWeight What they may weigh together, in bytes. A heavier one is kept as long as it is the only one.
   */
  constructor(max: number = COMPILED_SCHEMAS_MAX, maxWeight: number = COMPILED_SCHEMAS_BYTES_MAX) {
    this.#validators = new LRUCache({
      max,
      maxSize: maxWeight,
      sizeCalculation: ({ weight }) => Math.min(weight, maxWeight),
    });
  }

  /** Validators in the cache. */
  get size(): number {
    return this.#validators.size;
  }

  has(hash: string): boolean {
    return this.#validators.has(hash);
  }

  /** The validator of a text that was added and is not displaced yet. */
  get(hash: string): Validator | undefined {
    return this.#validators.get(hash);
  }

  /** Compiles a text, unless it is there, and keeps it under `hash`, which must be its own. */
  add(hash: string, text: Uint8Array): Added {
    if (this.#validators.has(hash)) return { kind: "added" };
    if (templateHash(text) !== hash) return { kind: "hash_mismatch" };
    const compiled = compileSchema(text);
    if (compiled.kind === "compiled") {
      this.#validators.set(hash, compiled.validator);
      return { kind: "added" };
    }
    this.#validators.set(hash, refuseAll(compiled.message));
    return { kind: "invalid", message: compiled.message };
  }
}

/** Stands for a schema that is none, so that whoever asks for it by its hash has an answer. */
function refuseAll(reason: string): Validator {
  const violations = [{ path: "", message: `cannot be judged: the schema is not valid (${reason})` }];
  return { weight: 1_024, validate: () => violations };
}
