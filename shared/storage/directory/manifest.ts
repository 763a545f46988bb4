/** The manifest: what a store is, written once when it is created. */
import { PARTITIONS_MAX } from "../../limits.ts";
import { StorageError } from "../store.ts";

/** The format of stores that this version makes and reads. */
export const FORMAT = 1;

/** Bytes of a manifest at most. */
export const MANIFEST_BYTES_MAX = 64 * 1024;

/** Content of `manifest.json`. */
export interface Manifest {
  readonly format: number;
  /** Random id of the store, 32 hex digits. */
  readonly store: string;
  /** A power of two, fixed for ever. */
  readonly partitions: number;
}

/** The manifest as a JSON line. */
export function encodeManifest(manifest: Manifest): Uint8Array<ArrayBuffer> {
  const { format, store, partitions } = manifest;
  return new TextEncoder().encode(JSON.stringify({ format, store, partitions }) + "\n");
}

/** Whether a store may have so many partitions. */
export function isPartitionCount(count: number): boolean {
  return Number.isInteger(count) && count >= 1 && count <= PARTITIONS_MAX && (count & (count - 1)) === 0;
}

/** Reads a manifest; `path` is for the message. @throws {StorageError} */
export function decodeManifest(path: string, bytes: Uint8Array): Manifest {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw new StorageError("corrupt", `${path} is not JSON`, { cause: error });
  }
  const { format, store, partitions } = (value ?? {}) as Record<string, unknown>;
  if (typeof format === "number" && format > FORMAT) {
    throw new StorageError(
      "configuration",
      `${path} says that the store has format ${format}; this version knows up to ${FORMAT}`,
    );
  }
  if (
    format !== FORMAT || typeof store !== "string" || !/^[0-9a-f]{32}$/.test(store) ||
    typeof partitions !== "number" || !isPartitionCount(partitions)
  ) throw new StorageError("corrupt", `${path} is not a manifest of a store`);
  return { format, store, partitions };
}
