/** What the main thread and a front thread say to each other; everything survives a structured clone. */
import type { MetricsSnapshot } from "../../../shared/metrics/serve.ts";
import type { LogConfig } from "../../../shared/config/common.ts";
import type { Address } from "../../../shared/config/values.ts";
import type { Store } from "../../../shared/storage/store.ts";
import type { CacheFigures } from "../../../shared/wire/messages.ts";
import type { TlsMaterial } from "../../../shared/wire/grpc/tls.ts";
import type { SchemaId } from "../../../shared/names.ts";
import type { Credentials, Routes, Template } from "../../control/control.ts";
import type { StatisticsDelta } from "../rest/statistics.ts";

/** What a snapshot has that the one before had not. Templates travel one by one: all of them may be large. */
export interface SnapshotChange {
  readonly routes?: Routes;
  readonly credentials?: Credentials;
  readonly schemas?: {
    readonly revision: number;
    readonly put: readonly (readonly [SchemaId, Template])[];
    readonly removed: readonly SchemaId[];
  };
  readonly finished?: ReadonlyMap<string, number>;
}

/** Everything that a thread needs to open its door. */
export interface ThreadOptions {
  readonly address: Address;
  readonly tls: TlsMaterial | undefined;
  readonly grpcTls: TlsMaterial | undefined;
  /** Name that the certificates of the workers must be for; `undefined`: the host that is dialled. */
  readonly grpcServerName: string | undefined;
  readonly grpcMaxRecvBytes: number;
  readonly bodyBytesMax: number;
  readonly threads: number;
  readonly storeKind: Store["kind"];
  readonly partitions: number;
  /** Share of the read cache. */
  readonly cacheBytes: number;
  readonly coherence: SharedArrayBuffer;
  readonly log: LogConfig;
  /** `store`: listings go to the main thread, which has the store. */
  readonly listing: "owners" | "store";
  readonly snapshot: SnapshotChange;
}

/** A request that the main thread answers: everything but entities. */
export interface ForwardedRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly remoteAddr: string;
  readonly body: ReadableStream<Uint8Array> | null;
}

export interface ForwardedResponse {
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: ReadableStream<Uint8Array> | null;
}

export type ToThread =
  | { readonly kind: "start"; readonly options: ThreadOptions }
  /** To be confirmed with the same id once it holds. */
  | { readonly kind: "snapshot"; readonly id: number; readonly change: SnapshotChange }
  | { readonly kind: "renew"; readonly tls?: TlsMaterial; readonly grpcTls?: TlsMaterial }
  | { readonly kind: "response"; readonly id: number; readonly response: ForwardedResponse }
  | { readonly kind: "metrics"; readonly id: number }
  | { readonly kind: "stop"; readonly graceMs: number };

export type FromThread =
  | { readonly kind: "started"; readonly address: Address }
  | { readonly kind: "failed"; readonly taken: boolean; readonly message: string }
  | { readonly kind: "confirmed"; readonly id: number }
  | { readonly kind: "worker_refused"; readonly session: string }
  | { readonly kind: "batch_floor"; readonly session: string; readonly dispatcher: string; readonly floor: number }
  | { readonly kind: "request"; readonly id: number; readonly request: ForwardedRequest }
  | {
    readonly kind: "statistics";
    readonly delta: StatisticsDelta;
    /** Counters since the start of the thread. */
    readonly cache: CacheFigures;
    readonly keysUsed: readonly (readonly [string, number])[];
  }
  | { readonly kind: "metrics"; readonly id: number; readonly snapshot: MetricsSnapshot }
  | { readonly kind: "stopped" };
