/** Cuts the body of a PUT of many, an object of key → document, into its documents without changing a byte of them. */
import { ENTITIES_PER_PUT_MAX, JSON_DEPTH_MAX } from "../limits.ts";
import { type Failure, failure } from "../outcome.ts";
import { JsonScanner, type ScanProblem } from "./scanner.ts";
import { decodeString } from "./text.ts";

/** One member of the body. */
export interface SlicedDocument {
  /**
   * The name of the member with its escapes decoded, not checked otherwise: it may hold half a surrogate pair, which
   * `parseEntityKey` refuses.
   */
  readonly key: string;
  /** The bytes of the value without the white space around it: a view of the body, which it keeps alive. */
  readonly document: Uint8Array;
}

/** The documents in the order of the body, their keys distinct; or `bad_json`, `bad_request` or `empty`. */
export type Sliced = { readonly kind: "sliced"; readonly documents: readonly SlicedDocument[] } | Failure;

const OPEN_BRACE = 0x7b;

/**
 * Slices a body. Each document may nest as deep as one that is sent alone: the object around them does not count.
 *
 * A key that appears twice is refused, because one of its documents would be lost without a word.
 *
 * @param entitiesMax More members than this are refused.
 */
export function sliceDocuments(body: Uint8Array, entitiesMax: number = ENTITIES_PER_PUT_MAX): Sliced {
  const scanner = new JsonScanner(body, JSON_DEPTH_MAX);
  scanner.skipSpace();
  if (scanner.peek() !== OPEN_BRACE) {
    if (!scanner.skipValue() || !scanner.skipToEnd()) return refusal(scanner.problem);
    return failure("bad_request", "the body must be a JSON object of entity key and document");
  }

  const documents: SlicedDocument[] = [];
  const keys = new Set<string>();
  let step = scanner.enterObject();
  while (step === "member") {
    if (!scanner.enterMember()) return refusal(scanner.problem);
    const key = decodeString(body, scanner.nameStart, scanner.nameEnd);
    if (keys.has(key)) {
      return failure("bad_request", `the body names the key at byte ${scanner.nameStart} a second time`);
    }
    if (keys.size === entitiesMax) return failure("bad_request", `the body holds more than ${entitiesMax} entities`);
    keys.add(key);
    const start = scanner.offset;
    if (!scanner.skipValue()) return refusal(scanner.problem);
    documents.push({ key, document: body.subarray(start, scanner.offset) });
    step = scanner.leaveMember();
  }
  if (step === "failed" || !scanner.skipToEnd()) return refusal(scanner.problem);
  if (documents.length === 0) return failure("empty", "the body holds no entity");
  return { kind: "sliced", documents };
}

function refusal(problem: ScanProblem): Failure {
  return failure(problem.code, problem.reason);
}
