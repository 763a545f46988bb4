/** Audit lines that anybody can cause: whoever floods the server shall not flood the log too. */
import { REFUSALS_LOGGED_PER_S } from "../limits.ts";
import type { Clock } from "../seams/clock.ts";
import type { LogFields, Logger } from "./logger.ts";

/** Writes up to {@linkcode REFUSALS_LOGGED_PER_S} lines a second; the next line says how many were left out before it. */
export class BoundedAudit {
  readonly #log: Logger;
  readonly #clock: Clock;
  #second = -1;
  #written = 0;
  #left = 0;

  constructor(log: Logger, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  audit(action: string, fields: LogFields): void {
    const second = Math.floor(this.#clock.monotonic() / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#written = 0;
    }
    if (this.#written >= REFUSALS_LOGGED_PER_S) {
      this.#left++;
      return;
    }
    this.#written++;
    this.#log.audit(action, { ...fields, ...(this.#left === 0 ? {} : { not_logged_before_count: this.#left }) });
    this.#left = 0;
  }
}
