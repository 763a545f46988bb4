/** The bounds of the directory engine that a test or a simulation makes small, so that little work reaches them. */
import {
  CHECKPOINT_RETRY_MS,
  CHECKPOINT_STEP_BYTES_MAX,
  CHECKPOINT_STEP_ROWS_MAX,
  LOG_BYTES_MAX,
  LOG_CHECKPOINT_BYTES,
  LOG_CHECKPOINT_DIRTY_BYTES,
  LOG_CHECKPOINT_MS,
  LOG_DIRTY_BYTES_MAX,
  LOG_GROUP_BYTES_MAX,
  LOG_QUEUE_BYTES_MAX,
  PARTITION_WRITERS_MAX,
} from "../../limits.ts";

/** See the constants of the same meaning in `shared/limits.ts`, which are the defaults. */
export interface DirectoryBounds {
  readonly checkpointBytes: number;
  readonly checkpointDirtyBytes: number;
  readonly checkpointMs: number;
  readonly checkpointRetryMs: number;
  readonly stepRows: number;
  readonly stepBytes: number;
  readonly groupBytes: number;
  readonly queueBytes: number;
  readonly dirtyBytes: number;
  readonly logBytes: number;
  readonly writers: number;
}

/** What production uses. */
export const DEFAULT_BOUNDS: DirectoryBounds = {
  checkpointBytes: LOG_CHECKPOINT_BYTES,
  checkpointDirtyBytes: LOG_CHECKPOINT_DIRTY_BYTES,
  checkpointMs: LOG_CHECKPOINT_MS,
  checkpointRetryMs: CHECKPOINT_RETRY_MS,
  stepRows: CHECKPOINT_STEP_ROWS_MAX,
  stepBytes: CHECKPOINT_STEP_BYTES_MAX,
  groupBytes: LOG_GROUP_BYTES_MAX,
  queueBytes: LOG_QUEUE_BYTES_MAX,
  dirtyBytes: LOG_DIRTY_BYTES_MAX,
  logBytes: LOG_BYTES_MAX,
  writers: PARTITION_WRITERS_MAX,
};
