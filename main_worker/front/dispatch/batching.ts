/** How operations are put together into batches, which depends on what a worker does with those of one batch. */
import { BATCH_OPERATIONS_MIN, BATCHES_IN_FLIGHT_MAX, S3_BATCHES_IN_FLIGHT_MAX } from "../../../shared/limits.ts";
import type { Store } from "../../../shared/storage/store.ts";

/** Sizes and numbers of the batches of one line to a worker. */
export interface Batching {
  /** Most batches under way. */
  readonly inFlightMax: number;
  /** So many may be under way whatever they hold; beyond that they must be worth their own cost. */
  readonly ofAnySize: number;
  /** What a line has to do is parted into so many batches, if they are not too small then. */
  readonly parts: number;
  /** Fewer operations than these are too small a batch. */
  readonly operationsMin: number;
}

/**
 * In a directory the writes of a batch share a sync, and a batch costs as much as some three operations: few batches, and beside
 * one that is under way none that is not worth its cost (64 clients on two cores, writes in a second, in one run: 6,060 with
 * two batches of 32, 6,320 with four of 16, 4,120 with eight of 8; 16 clients: 3,110 where 16 operations are the least, 3,700 where
 * 8 are).
 */
const SHARED: Batching = {
  inFlightMax: BATCHES_IN_FLIGHT_MAX,
  ofAnySize: 1,
  parts: 4,
  operationsMin: BATCH_OPERATIONS_MIN,
};

/**
 * In a bucket each operation is a request of its own, and they share nothing but the cost of a call and its answer, which waits
 * for the slowest: many small batches, so that few wait for it. One for each operation costs more than that saves
 * where processors are what is short (0.45 of the SDK's rate of writes, with 16 batches 0.62, in the same run).
 */
const APART: Batching = {
  inFlightMax: S3_BATCHES_IN_FLIGHT_MAX,
  ofAnySize: S3_BATCHES_IN_FLIGHT_MAX,
  parts: S3_BATCHES_IN_FLIGHT_MAX,
  operationsMin: 1,
};

/** How batches are made for a store of this kind. */
export function batchingFor(kind: Store["kind"]): Batching {
  return kind === "bucket" ? APART : SHARED;
}
