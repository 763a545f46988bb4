/**
 * Bodies of refused requests over HTTP/2. An answer that comes before the end of the body has a reset of the stream behind it
 * (RFC 9113, section 8.1), at which clients that are still sending forget the answer or wait for ever (curl 7.88, Java 17 and
 * Node.js 20 do). So the rest of the body is taken first, and thrown away. Over HTTP/1.1 Deno answers and takes the rest itself.
 */
import { REFUSED_BODIES_MAX, REFUSED_BODY_BYTES_MAX, REFUSED_BODY_MS_MAX } from "../../../shared/limits.ts";
import type { Clock } from "../../../shared/seams/clock.ts";
import type { RestRequest } from "./route.ts";

/** Whether a request came over HTTP/2, as far as one can tell: what HTTP/1.1 says in `Host` is no header field there. */
export function isHttp2(request: RestRequest): boolean {
  return !request.headers.has("host");
}

export class RefusedBodies {
  readonly #clock: Clock;
  #underWay = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Takes what a refused request still sends, up to a bound, and resolves then; `undefined`: there is nothing to take, or too
   * much of it. Whoever sends many such requests at once gets their answers as early as they come.
   */
  take(request: RestRequest): Promise<void> | undefined {
    if (!isHttp2(request) || this.#underWay >= REFUSED_BODIES_MAX) return undefined;
    if (request.body === null || request.body.locked) return undefined;
    return this.#discard(request.body.getReader());
  }

  async #discard(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
    const giveUp = () => reader.cancel().catch(() => {});
    const timer = this.#clock.setTimer(giveUp, REFUSED_BODY_MS_MAX);
    this.#underWay += 1;
    try {
      for (let size = 0; size < REFUSED_BODY_BYTES_MAX;) {
        const { done, value } = await reader.read();
        if (done) return;
        size += value.length;
      }
      giveUp();
    } catch {
      // It broke off, and with it whoever would take the answer.
    } finally {
      this.#underWay -= 1;
      this.#clock.clearTimer(timer);
    }
  }
}
