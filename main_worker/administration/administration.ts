/** What administrators can start and see: backup, restore, re-encryption, and the figures of the dashboard. */
import type { MainWorkerConfig } from "../../shared/config/main_worker.ts";
import type { Logger } from "../../shared/logging/logger.ts";
import { failure } from "../../shared/outcome.ts";
import type { Clock } from "../../shared/seams/clock.ts";
import { StorageError, type Store } from "../../shared/storage/store.ts";
import type { CacheFigures } from "../../shared/wire/messages.ts";
import type { ControlPlane } from "../control/control_plane.ts";
import type { Front } from "../front/front.ts";
import type { AdminOperations } from "../front/rest/admin_operations.ts";
import type { ServerStats, Warning } from "../front/rest/stats.ts";
import { backup } from "./backup.ts";
import { restore } from "./restore.ts";
import { Rewrap } from "./rewrap.ts";
import { SyncFigures } from "./sync_figures.ts";

export interface AdministrationParts {
  readonly control: ControlPlane;
  readonly front: Front;
  readonly store: Store;
  readonly config: MainWorkerConfig;
  readonly keyId: string;
  readonly generatedKey: boolean;
  readonly clock: Clock;
  readonly log: Logger;
  /** Counts an administrative action by what it ended in. */
  readonly countAction: (action: string, result: string) => void;
  /** Of all read caches together. */
  readonly cacheFigures: () => CacheFigures;
  readonly version: string;
}

/** The operations, and the re-encryption that the program resumes at its start and stops at its end. */
export interface Administration extends AdminOperations {
  readonly rewrap: Rewrap;
}

/** Partitions that a warning lists by number. */
const NAMED_PARTITIONS = 8;
/** Templates that are not usable and get a warning each; the others share one. */
const NAMED_TEMPLATES = 20;

export function createAdministration(parts: AdministrationParts): Administration {
  const { control, front, store, config, clock, log } = parts;
  const startedMs = clock.now();
  const startedMonotonicMs = clock.monotonic();
  const syncs = new SyncFigures(clock);
  const rewrap = new Rewrap({
    dispatcher: front.dispatcher,
    operations: front.operations,
    lister: front.lister,
    listing: store.listing,
    clock,
    log: log.child("rewrap"),
    onFinished: (result) => parts.countAction("rewrap_finished", result),
    shelf: store.auth,
    keyId: parts.keyId,
    partitions: store.partitions,
  });

  function warnings(): Warning[] {
    const list: Warning[] = [];
    const workers = control.workers().filter((worker) => worker.status === "Available");
    const unserved = control.unserved();
    if (workers.length === 0) {
      list.push({
        code: "no_worker",
        severity: "critical",
        message: "No processing worker is available: nothing can be read or written.",
        since: iso(unserved[0]?.sinceMs),
      });
    } else if (unserved.length > 0) {
      const named = unserved.slice(0, NAMED_PARTITIONS).map(({ partition }) => partition).join(", ");
      const more = unserved.length > NAMED_PARTITIONS ? ", …" : "";
      const reasons = [...new Set(unserved.flatMap(({ reason }) => reason === undefined ? [] : [reason]))];
      list.push({
        code: "partitions_without_owner",
        severity: "critical",
        message: `${unserved.length} of ${store.partitions} partitions have no owner (${named}${more})` +
          (reasons.length > 0 ? `: ${reasons[0]}` : "; they are on their way to one") + ".",
        since: iso(Math.min(...unserved.map(({ sinceMs }) => sinceMs))),
      });
    }
    if (config.adminKey === undefined) {
      list.push({
        code: "dev_mode",
        severity: "warning",
        message: "There is no admin key: anybody who reaches this server may read and write.",
        since: null,
      });
    }
    if (parts.generatedKey) {
      list.push({
        code: "generated_master_key",
        severity: "warning",
        message:
          "The master key was made at this start. After a restart without it, what is stored now cannot be read.",
        since: null,
      });
    }
    list.push(...templateWarnings());
    return list;
  }

  function templateWarnings(): Warning[] {
    const warning = (message: string): Warning => ({
      code: "invalid_template",
      severity: "warning",
      message,
      since: null,
    });
    const unusable = [...control.snapshot().schemas.templates].flatMap(([id, { invalid }]) =>
      invalid === undefined
        ? []
        : [`The template of the schema ${id} is not usable, so that writes are refused: ${invalid}`]
    );
    const named = unusable.slice(0, NAMED_TEMPLATES).map(warning);
    const more = unusable.length - named.length;
    return more === 0 ? named : [...named, warning(`${more} more templates are not usable.`)];
  }

  /** A time of the monotonic clock, for people. */
  function iso(monotonicMs: number | undefined): string | null {
    return monotonicMs === undefined || !Number.isFinite(monotonicMs)
      ? null
      : new Date(startedMs + monotonicMs - startedMonotonicMs).toISOString();
  }

  function stats(): Promise<ServerStats> {
    const cache = parts.cacheFigures();
    const lookups = cache.hits + cache.misses;
    return Promise.resolve({
      started_at: new Date(startedMs).toISOString(),
      storage: { kind: store.kind, location: location(config), store_id: store.id },
      key_id: parts.keyId,
      cache: { ...cache, bytes_max: config.cacheBytes, hit_ratio: lookups === 0 ? null : cache.hits / lookups },
      // A bucket's writes are durable when they are answered: there is nothing to sync.
      sync: store.kind === "directory" ? syncs.figures(control.workers()) : { mean_ms: null, syncs: null },
      warnings: warnings(),
      configuration: Object.fromEntries(config.effective.map((flag) => [flag.name, flag.value])),
    });
  }

  return {
    rewrap,
    stats,
    backup: (signal) => {
      const { owners } = control.snapshot().routes;
      if (store.listing === "owners" && owners.every((owner) => owner === "none")) {
        return Promise.resolve(failure("no_worker", "No worker can read the store now", { retryAfterS: 1 }));
      }
      return Promise.resolve(backup({
        control,
        lister: front.lister,
        listing: store.listing,
        clock,
        storeId: store.id,
        partitions: store.partitions,
        version: parts.version,
      }, signal));
    },
    async *restore(body, existing, signal) {
      try {
        yield* restore(
          {
            control,
            dispatcher: front.dispatcher,
            operations: front.operations,
            clock,
            documentBytesMax: config.restMaxBodyBytes,
          },
          body,
          existing,
          signal,
        );
      } finally {
        rewrap.arrived();
      }
    },
    async startRewrap() {
      try {
        return await rewrap.start();
      } catch (error) {
        if (!(error instanceof StorageError)) throw error;
        return failure("storage_unavailable", "The store did not take the mark of the re-encryption", {
          retryAfterS: 1,
        });
      }
    },
    rewrapProgress: () => Promise.resolve(rewrap.progress),
  };
}

function location(config: MainWorkerConfig): string {
  const { store } = config;
  if (store.kind === "directory") return store.root;
  return `${store.endpoint}/${store.bucket}`;
}
