/** What tests expect of calls that fail. */
import assert from "assert";
import { TransportError } from "../transport.ts";

/** For `assert.rejects`: a {@linkcode TransportError} with this reason, and with such a message. */
export function fails(reason: TransportError["reason"], message?: RegExp) {
  return (error: unknown) => {
    assert(error instanceof TransportError, String(error));
    assert.equal(error.reason, reason, error.message);
    if (message) assert.match(error.message, message);
    return true;
  };
}
