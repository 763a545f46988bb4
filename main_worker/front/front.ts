/** The front half of the main worker, put together from its parts: everything between a front door and the wire. */
import type { Logger } from "../../shared/logging/logger.ts";
import type { Clock } from "../../shared/seams/clock.ts";
import type { Random } from "../../shared/seams/random.ts";
import type { Store } from "../../shared/storage/store.ts";
import type { ConnectWorker } from "../../shared/wire/transport.ts";
import type { Control } from "../control/control.ts";
import { CoherenceTable } from "./cache/coherence.ts";
import { ReadCache } from "./cache/read_cache.ts";
import { batchingFor } from "./dispatch/batching.ts";
import { Dispatcher, type DispatcherMetrics } from "./dispatch/dispatcher.ts";
import { createEntityService } from "./dispatch/entity_service.ts";
import { type Lister, OwnerLister } from "./dispatch/lister.ts";
import { Operations } from "./dispatch/operations.ts";
import { StoreLister } from "./dispatch/store_lister.ts";
import { WatchHub } from "./dispatch/watch_hub.ts";
import type { EntityService } from "./entities.ts";

export interface FrontParts {
  readonly control: Pick<Control, "snapshot" | "subscribe" | "workerRefused" | "batchFloor">;
  readonly connect: ConnectWorker;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: DispatcherMetrics;
  readonly store: Pick<Store, "kind" | "partitions" | "list" | "schemaPrefixes">;
  /** Bytes of the read cache; 0 turns it off. */
  readonly cacheBytes: number;
  /** Memory of the coherence table, from {@linkcode CoherenceTable.allocate}; the same for all fronts. */
  readonly coherence: SharedArrayBuffer;
  /** See `DispatcherParts.turn`: how writes take turns where there are several fronts. Absent: there is one. */
  readonly turn?: (coherence: CoherenceTable, slot: number) => Promise<void>;
}

/** A front at work. */
export interface Front {
  readonly entities: EntityService;
  readonly dispatcher: Dispatcher;
  readonly operations: Operations;
  readonly lister: Lister;
  readonly cache: ReadCache;
  readonly watches: WatchHub;
  close(): void;
}

/** How writes take turns across front threads: whoever waits for a slot is woken when it is free. */
export function takeTurns(coherence: CoherenceTable, slot: number): Promise<void> {
  return coherence.unlocked(slot, TURN_MS_MAX);
}

/** A waiter that was not woken looks by itself after this. */
const TURN_MS_MAX = 100;

export function createFront(parts: FrontParts): Front {
  const { control, clock, random, log } = parts;
  const coherence = new CoherenceTable(parts.coherence, clock);
  const dispatcher = new Dispatcher({
    clock,
    random,
    log: log.child("dispatch"),
    control,
    connect: parts.connect,
    coherence,
    ...(parts.turn ? { turn: (slot: number) => parts.turn!(coherence, slot) } : {}),
    batching: batchingFor(parts.store.kind),
    metrics: parts.metrics,
  });
  const client = (session: string) => dispatcher.client(session);
  const operations = new Operations(random, parts.store.partitions);
  const { store } = parts;
  const lister = store.list === undefined || store.schemaPrefixes === undefined
    ? new OwnerLister({ clock, routes: () => dispatcher.routes, client })
    : new StoreLister({
      list: store.list.bind(store),
      schemaPrefixes: store.schemaPrefixes.bind(store),
      dispatcher,
      operations,
      clock,
    });
  const cache = new ReadCache(parts.cacheBytes, coherence);
  const watches = new WatchHub({ clock, log: log.child("watch"), control, client, id: dispatcher.id });
  return {
    entities: createEntityService({ control, dispatcher, operations, lister, cache, coherence, watches }),
    dispatcher,
    operations,
    lister,
    cache,
    watches,
    close() {
      watches.close();
      dispatcher.close();
    },
  };
}
