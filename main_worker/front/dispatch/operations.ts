/** Makes operations: ids without a call to the generator for each, names and partitions from what the client wrote. */
import {
  type EntityKey,
  type EntityName,
  entityName,
  type Partition,
  partitionOf,
  type SchemaId,
} from "../../../shared/names.ts";
import type { Random } from "../../../shared/seams/random.ts";
import type { Operation, OperationKind } from "../../../shared/wire/messages.ts";
import type { Conditions } from "../entities.ts";

const ID_BYTES = 16;
const IDS_PER_DRAW = 256;
const NOTHING = new Uint8Array(0);

/** What an operation has beside its entity. */
export interface OperationDetails extends Conditions {
  readonly payload?: Uint8Array;
  readonly schemaHash?: string;
  readonly validated?: boolean;
  readonly force?: boolean;
}

export class Operations {
  readonly #random: Random;
  readonly #partitions: number;
  #drawn: Uint8Array = NOTHING;
  #used = 0;

  constructor(random: Random, partitions: number) {
    this.#random = random;
    this.#partitions = partitions;
  }

  make(kind: OperationKind, schemaId: SchemaId, key: EntityKey, details: OperationDetails): Operation {
    return this.named(kind, entityName(schemaId, key), details);
  }

  /** The same, where the storage name is what is known. */
  named(kind: OperationKind, name: EntityName, details: OperationDetails): Operation {
    const { payload = NOTHING, schemaHash = "", ...rest } = details;
    return { ...rest, opId: this.#id(), kind, partition: this.partition(name), name, payload, schemaHash, attempt: 1 };
  }

  partition(name: EntityName): Partition {
    return partitionOf(name, this.#partitions);
  }

  #id(): string {
    if (this.#used >= this.#drawn.length) {
      this.#drawn = this.#random.bytes(ID_BYTES * IDS_PER_DRAW);
      this.#used = 0;
    }
    const id = this.#drawn.subarray(this.#used, this.#used += ID_BYTES);
    return id.toHex();
  }
}
