/** Opens the store that the configuration names. The bucket engine and its SDK are loaded only when a bucket is configured. */
import type { StoreConfig } from "../config/common.ts";
import type { Logger } from "../logging/logger.ts";
import type { Clock } from "../seams/clock.ts";
import type { Random } from "../seams/random.ts";
import type { BucketContext } from "./bucket/store.ts";
import type { StorageEvent } from "./directory/events.ts";
import type { Store } from "./store.ts";

/** What an engine gets from the process around it. */
export interface StoreContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Figures of requests to an S3 service. */
  readonly s3: {
    request(kind: string, outcome: string, seconds: number): void;
    retry(kind: string, reason: string): void;
  };
  /** See `BucketContext.mayWrite`. */
  readonly mayWrite?: BucketContext["mayWrite"];
  /** Makes a store that is not there, with `partitions`; `asked`: another number in an existing store is an error. */
  readonly create?: { readonly partitions: number; readonly asked: boolean };
}

/** @throws {StorageError} with a line that says what is wrong. */
export async function openStore(config: StoreConfig, context: StoreContext): Promise<Store> {
  const { clock, random, log, create } = context;
  if (config.kind === "bucket") {
    const { openBucketStore } = await import("./bucket/store.ts");
    return await openBucketStore({ ...config, ...(create ? { create } : {}) }, {
      clock,
      random,
      warn: (message) => log.warn("store_conditions", { message }),
      hooks: context.s3,
      ...(context.mayWrite ? { mayWrite: context.mayWrite } : {}),
    });
  }
  const { openDirectoryStore } = await import("./directory/store.ts");
  const { systemDisk } = await import("./directory/system_disk.ts");
  const made = create && (create.asked ? { partitions: create.partitions } : {});
  return await openDirectoryStore({ root: config.root, ...(made ? { create: made } : {}) }, {
    clock,
    random,
    disk: systemDisk,
    report: (event) => reportTo(log, event),
  });
}

/** What an engine has to tell an operator, as log lines. */
function reportTo(log: Logger, { kind, message, partition }: StorageEvent): void {
  const fields = { message, ...(partition === undefined ? {} : { partition }) };
  if (kind === "recovered" || kind === "checkpoint_recovered") log.info(kind, fields);
  else log.warn(kind, fields);
}
