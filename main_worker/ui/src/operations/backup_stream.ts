/** Watches a backup pass by: how much of it there is, and whether its last line came, without which it is truncated. */

const TAIL_BYTES = 4_096;

/** Keeps the size and the end of what has passed. */
export class BackupWatcher {
  #bytes = 0;
  #tail = new Uint8Array(0);

  /** Takes the next piece. */
  push(piece: Uint8Array): void {
    this.#bytes += piece.length;
    const joined = new Uint8Array(Math.min(TAIL_BYTES, this.#tail.length + piece.length));
    const fromPiece = piece.subarray(Math.max(0, piece.length - TAIL_BYTES));
    joined.set(fromPiece, joined.length - fromPiece.length);
    const before = joined.length - fromPiece.length;
    if (before > 0) joined.set(this.#tail.subarray(this.#tail.length - before), 0);
    this.#tail = joined;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The last line with its counts and its checksum, or `null` when it did not come. */
  get trailer(): Record<string, unknown> | null {
    const text = new TextDecoder().decode(this.#tail);
    const last = text.trimEnd().split("\n").at(-1) ?? "";
    try {
      const value: unknown = JSON.parse(last);
      const isTrailer = typeof value === "object" && value !== null && JSON.stringify(value).includes('"sha256"');
      return isTrailer ? value as Record<string, unknown> : null;
    } catch {
      return null;
    }
  }
}
