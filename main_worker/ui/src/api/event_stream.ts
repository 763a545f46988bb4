/**
 * A reader for server-sent events over `fetch`, so that the credential travels in a header and not in the address.
 * Format: HTML Living Standard, section 9.2.6.
 */

/** One event of a stream. */
export interface StreamEvent {
  /** `message` when the stream names none. */
  readonly event: string;
  readonly id: string | null;
  readonly data: string;
}

/** Splits a stream of text into events. Comments and fields that we have no use for are skipped. */
export class EventParser {
  #rest = "";
  #event = "";
  #id: string | null = null;
  #data: string[] = [];

  /** Takes the next piece of the stream and returns the events that it completed. */
  push(text: string): StreamEvent[] {
    const events: StreamEvent[] = [];
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line !== "") {
        this.#field(line);
        continue;
      }
      if (this.#data.length > 0 || this.#event !== "") {
        events.push({ event: this.#event || "message", id: this.#id, data: this.#data.join("\n") });
      }
      this.#event = "";
      this.#data = [];
    }
    return events;
  }

  #field(line: string): void {
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") this.#event = value;
    else if (name === "data") this.#data.push(value);
    else if (name === "id") this.#id = value;
  }
}

/** The events of an answer, until it ends or breaks. */
export async function* readEvents(response: Response): AsyncGenerator<StreamEvent> {
  if (!response.body) return;
  const parser = new EventParser();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    while (true) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* parser.push(value);
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
