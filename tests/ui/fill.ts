/**
 * Fills a store with very many small documents, straight through the storage and crypto modules: what the two programs
 * would have written, without a request for each. No program may use the store meanwhile.
 */
import { Keyring } from "../../shared/crypto/keyring.ts";
import { MasterKey } from "../../shared/crypto/master_key.ts";
import { entityName, parseEntityKey, parseSchemaId, type Partition, partitionOf } from "../../shared/names.ts";
import { systemClock as clock } from "../../shared/seams/clock.ts";
import { randomHex, systemRandom as random } from "../../shared/seams/random.ts";
import { openDirectoryStore } from "../../shared/storage/directory/store.ts";
import { systemDisk } from "../../shared/storage/directory/system_disk.ts";

/** Writes that wait for one sync together. */
const WAVE = 4_000;

export interface FillOptions {
  /** Root of the store; made when there is none. */
  readonly root: string;
  /** 64 hex digits. */
  readonly masterKey: string;
  readonly keyId: string;
  readonly schema: string;
  readonly count: number;
}

/** Key of the document with this number. */
export function filledKey(index: number): string {
  return `key-${String(index).padStart(7, "0")}`;
}

/** Writes `count` documents of one schema. */
export async function fillStore(options: FillOptions): Promise<void> {
  const keyring = new Keyring({ current: new MasterKey(options.keyId, Uint8Array.fromHex(options.masterKey)), random });
  const store = await openDirectoryStore({ root: options.root, create: {} }, { disk: systemDisk, clock, random });
  const entities = await store.openEntities("fill");
  const schemaId = parseSchemaId(options.schema);
  const encoder = new TextEncoder();
  try {
    for (let partition = 0; partition < store.partitions; partition++) {
      const taken = await entities.take(partition as Partition);
      if (taken.kind !== "taken") throw new Error(`partition ${partition} is ${taken.kind}`);
    }
    const write = async (index: number) => {
      const entityKey = parseEntityKey(filledKey(index));
      const name = entityName(schemaId, entityKey);
      const header = { schemaId, entityKey, version: 1, opId: randomHex(random, 16), writtenAtMs: clock.now() };
      const envelope = await keyring.seal(name, header, encoder.encode(`{"n":${index}}`));
      await entities.commit({ partition: partitionOf(name, store.partitions), name, envelope, expected: undefined });
    };
    for (let start = 0; start < options.count; start += WAVE) {
      const size = Math.min(WAVE, options.count - start);
      await Promise.all(Array.from({ length: size }, (_, offset) => write(start + offset)));
    }
  } finally {
    await entities.close();
    await store.close();
    keyring.destroy();
  }
}
