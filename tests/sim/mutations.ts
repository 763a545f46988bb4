/**
 * The product broken on purpose, one promise at a time: what the simulator is worth is how soon it notices. Each mutation takes
 * effect when it is applied and is undone by the function that it answers.
 */
import { CoherenceTable } from "../../main_worker/front/cache/coherence.ts";
import { DocumentCache } from "../../proc_worker/cache/document_cache.ts";
import { BatchFloors } from "../../proc_worker/execute/batch_floors.ts";
import { EntityOrder } from "../../proc_worker/execute/entity_order.ts";
import { Membership } from "../../proc_worker/membership/membership.ts";
import { Ownership } from "../../proc_worker/ownership/ownership.ts";
import { FILES_PREFIX, LEASE_KEY } from "../../shared/storage/bucket/layout.ts";
import type { Disk, PartitionTable } from "../../shared/storage/directory/disk.ts";
import { StorageError } from "../../shared/storage/store.ts";
import type { Mutation } from "./cluster.ts";
import type { SimulationOptions } from "./simulation.ts";

export interface NamedMutation {
  /** What the product no longer does. */
  readonly name: string;
  /** Parts that are replaced in each simulated cluster. */
  readonly parts?: Mutation;
  /** Changes code that all clusters use; answers how to undo it. */
  apply?(): () => void;
  /** What brings it to light, where the usual mixture rarely does. */
  readonly under?: Pick<SimulationOptions, "store" | "incidents" | "network" | "failingSync">;
}

/** Replaces a method of a class. */
function replaced<T extends object, K extends keyof T>(target: T, method: K, by: (original: T[K]) => T[K]): () => void {
  const original = target[method];
  target[method] = by(original);
  return () => {
    target[method] = original;
  };
}

/** Replaces a getter of a class. */
function replacedGetter<T extends object>(target: T, name: keyof T, get: (this: T) => unknown): () => void {
  const original = Object.getOwnPropertyDescriptor(target, name)!;
  Object.defineProperty(target, name, { ...original, get });
  return () => Object.defineProperty(target, name, original);
}

function withTable(disk: Disk, change: (table: PartitionTable) => PartitionTable): Disk {
  return { ...disk, openTable: async (path, options) => change(await disk.openTable(path, options)) };
}

export const MUTATIONS: readonly NamedMutation[] = [
  {
    name: "a write is acknowledged before it is synced",
    parts: {
      disk: (disk) => ({
        ...disk,
        createFile: async (path) => ({ ...await disk.createFile(path), sync: () => Promise.resolve() }),
      }),
    },
  },
  {
    name: "the log of a dead worker is not replayed",
    parts: {
      disk: (disk) => ({
        ...disk,
        list: async (path) => path.endsWith("/log") ? [] : await disk.list(path),
      }),
    },
  },
  {
    name: "old records of a log are replayed over newer ones",
    parts: {
      disk: (disk) =>
        withTable(disk, (table) => ({
          get appliedSequence() {
            return 0;
          },
          get: (name) => table.get(name),
          has: (name) => table.has(name),
          list: (range) => table.list(range),
          counts: () => table.counts(),
          apply: (changes, sequence) => table.apply(changes, sequence),
          close: () => table.close(),
        })),
    },
  },
  {
    name: "a checkpoint forgets what was deleted",
    parts: {
      disk: (disk) =>
        withTable(disk, (table) => ({
          get appliedSequence() {
            return table.appliedSequence;
          },
          get: (name) => table.get(name),
          has: (name) => table.has(name),
          list: (range) => table.list(range),
          counts: () => table.counts(),
          apply: (changes, sequence) => table.apply(changes.filter(({ envelope }) => envelope !== undefined), sequence),
          close: () => table.close(),
        })),
    },
  },
  {
    name: "a lock does not exclude a second owner",
    parts: {
      disk: (disk) => ({
        ...disk,
        openLock: async (path) => {
          const lock = await disk.openLock(path);
          return lock && (path.endsWith("/main") ? lock : { ...lock, tryLock: () => Promise.resolve(true) });
        },
        openTable: (path, options) => disk.openTable(path, options),
      }),
    },
  },
  {
    name: "requests of an older epoch are executed",
    under: { incidents: ["kill main"], network: { lateRequest: 0.3, lateMsMax: 10_000 } },
    apply: () =>
      replaced(Ownership.prototype, "enter", (enter) =>
        function (this: Ownership, partition) {
          return enter.call(this, partition, Infinity);
        }),
  },
  {
    name: "the read cache is filled while a write is unresolved",
    apply: () => {
      const stamp = replaced(CoherenceTable.prototype, "stamp", () => () => 0);
      const current = replaced(CoherenceTable.prototype, "isCurrent", () => () => true);
      return () => (stamp(), current());
    },
  },
  {
    name: "the envelope does not keep the id of its operation",
    parts: {
      sealer: (sealer) => {
        let n = 0;
        return {
          ...sealer,
          seal: (name, header, document) =>
            sealer.seal(name, { ...header, opId: (++n).toString(16).padStart(32, "f") }, document),
        };
      },
    },
  },
  {
    name: "a batch that was given up is executed when it turns up late",
    apply: () =>
      replaced(BatchFloors.prototype, "begin", (begin) =>
        function (this: BatchFloors, id, seq, floor) {
          begin.call(this, id, seq, floor);
          return true;
        }),
  },
  {
    name: "an attempt that was given up runs after a later one",
    under: { store: "bucket", incidents: ["slow down"], network: { lateRequest: 0.1, lateMsMax: 1_000 } },
    apply: () => replaced(BatchFloors.prototype, "admit", () => () => true),
  },
  {
    name: "a write of unknown outcome counts as decided",
    under: { incidents: ["failing syncs", "kill worker"], network: { delayMsMax: 1 }, failingSync: 1 },
    parts: {
      entities: (entities) => {
        const { commit } = entities;
        entities.commit = (write) =>
          commit.call(entities, write).catch((error) => {
            throw error instanceof StorageError ? new StorageError(error.reason, error.message) : error;
          });
        return entities;
      },
    },
  },
  {
    name: "a worker keeps its cache of a partition that it gave up",
    apply: () => replaced(DocumentCache.prototype, "dropPartition", () => () => {}),
  },
  {
    name: "operations on one entity are executed at the same time",
    apply: () => replaced(EntityOrder.prototype, "run", () => (_name, work) => work()),
  },
  {
    name: "writes that come through several fronts do not take turns",
    under: { network: { lostAnswer: 0.1 } },
    apply: () => replaced(CoherenceTable.prototype, "tryLock", () => () => true),
  },
  {
    name: "a bucket's worker goes on under a new epoch with what it had cached",
    under: { store: "bucket", incidents: ["kill main", "clock jump", "pause worker"] },
    parts: { entities: (entities) => Object.defineProperty(entities, "exclusive", { value: true }) },
  },
  {
    name: "a bucket's worker that was out goes on with what it had begun as soon as it has joined again",
    under: { store: "bucket", incidents: ["kill main", "clock jump", "pause worker"] },
    apply: () => {
      const assigned = replacedGetter(Membership.prototype, "sinceAssignedMs", function (this: Membership) {
        return this.sinceAnsweredMs;
      });
      const lapse = replaced(Ownership.prototype, "lapse", () => () => {});
      return () => (assigned(), lapse());
    },
  },
  {
    name: "writes to a bucket do not say what they replace",
    under: { store: "bucket" },
    parts: {
      bucket: (client) => ({
        ...client,
        put: (key, bytes, condition, signal) =>
          client.put(key, bytes, key.startsWith(FILES_PREFIX) ? undefined : condition, signal),
      }),
    },
  },
  {
    name: "a main worker takes a renewal that was carried out long ago for the one that it has just sent",
    under: { store: "bucket", incidents: ["cut main off"] },
    parts: {
      bucket: (client) => ({
        ...client,
        put: async (key, bytes, condition, signal) => {
          const answer = await client.put(key, bytes, condition, signal);
          if (key !== LEASE_KEY || answer.kind === "stored") return answer;
          const there = await client.get(key, signal);
          const idOf = (record: Uint8Array): string => JSON.parse(new TextDecoder().decode(record)).id;
          return there !== undefined && idOf(there.bytes) === idOf(bytes)
            ? { kind: "stored", etag: there.etag }
            : answer;
        },
      }),
    },
  },
  {
    name: "a main worker whose lease has ended answers from its cache",
    under: { store: "bucket", incidents: ["replace main"] },
    apply: () => replaced(CoherenceTable.prototype, "holdsUntil", () => () => {}),
  },
];
