/**
 * Bad neighbours: members of the cluster that joined with the right proof and then do not do their work. Every request is
 * answered in time, the partitions of the others are not disturbed, and nothing is lost when they are gone.
 */
import assert from "assert";
import { JOIN_SECRET_OBJECT, joinProof } from "../../shared/crypto/join.ts";
import { createKeyPair } from "../../shared/crypto/key_wrap.ts";
import type { BatchRequest, BatchResponse, HeartbeatResponse, SubscribeResponse } from "../../shared/wire/messages.ts";
import { connectMainOverGrpc } from "../../shared/wire/grpc/main_client.ts";
import { serveWorkerOverGrpc } from "../../shared/wire/grpc/worker_server.ts";
import { TransportError } from "../../shared/wire/transport.ts";
import { Cluster, type ClusterOptions } from "./cluster.ts";

const MESSAGE_BYTES = 4 * 2 ** 20;
const NO_CACHE = { entries: 0, bytes: 0, hits: 0, misses: 0, evictions: 0 };

/** A member that says it serves whatever it is assigned. `address`: where it says it can be called. */
class BadNeighbour implements AsyncDisposable {
  readonly #client: ReturnType<typeof connectMainOverGrpc>;
  readonly #cluster: Cluster;
  readonly #address: string;
  readonly #session: string;
  #token = "";
  #stopping = false;
  #beating: Promise<void> | undefined;

  constructor(cluster: Cluster, address: string, session: string) {
    this.#cluster = cluster;
    this.#address = address;
    this.#session = session;
    this.#client = connectMainOverGrpc({ address: cluster.grpc, messageBytesMax: MESSAGE_BYTES });
  }

  async join(): Promise<void> {
    const manifest = await this.#cluster.store.read("manifest.json");
    const { store, partitions } = JSON.parse(new TextDecoder().decode(manifest));
    const secret = await this.#cluster.store.read(`_auth/${JOIN_SECRET_OBJECT}`);
    const { publicKey } = await createKeyPair();
    const claim = { workerId: "bad", session: this.#session, publicKey, timestampMs: Date.now(), storeId: store };
    const response: SubscribeResponse = await this.#client.subscribe({
      ...claim,
      tags: { grpc_addr: this.#address },
      proof: joinProof({ secret, ...claim }),
      partitions,
      owned: [],
    }, 10_000);
    this.#token = response.token;
    this.#beating = this.#beat();
  }

  async #beat(): Promise<void> {
    let last: HeartbeatResponse | undefined;
    for (let seq = 1; !this.#stopping; seq++) {
      try {
        last = await this.#client.heartbeat({
          workerId: "bad",
          session: this.#session,
          token: this.#token,
          seq,
          owned: last?.assigned ?? [],
          releasing: [],
          failing: [],
          finished: [],
          epoch: last?.epoch ?? 0,
          leaving: false,
          activeRequests: 0,
          cache: NO_CACHE,
          immediate: true,
        }, 10_000);
      } catch (error) {
        if (!(error instanceof TransportError)) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }

  /** It is gone: its partitions are free. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping = true;
    await this.#beating;
    await this.#client.unsubscribe({ workerId: "bad", session: this.#session, token: this.#token }, 5_000);
    this.#client.close();
  }
}

/** Keys of which some are in partitions of each of two workers. */
const KEYS = Array.from({ length: 48 }, (_, n) => `key-${n}`);

/** While the neighbour has its share: each request is answered, and those that it has no part in are served. */
async function bear(cluster: Cluster, neighbour: BadNeighbour, joined: () => void = () => {}): Promise<void> {
  for (const key of KEYS) await cluster.put("near", key, '"before"');
  {
    await using _ = neighbour;
    await neighbour.join();
    joined();
    await cluster.until(
      "it has its share",
      (members) => members.some(({ worker_id, partitions }) => worker_id === "bad" && partitions.length === 32),
    );
    const statuses = await Promise.all(KEYS.map(async (key) => {
      const response = await cluster.fetch(`/entity/near?key=${key}`, { method: "PUT", body: '"during"' });
      const text = await response.text();
      if (response.status !== 200) assert.match(JSON.parse(text).code, /^(deadline|no_worker|overloaded)$/);
      return response.status;
    }));
    assert(statuses.includes(200), "the good worker's partitions are served");
    assert(statuses.some((status) => status === 503 || status === 504), "the bad one's cannot be");
  }
  await cluster.until(
    "the good one has all",
    (members) => members.some(({ worker_id, partitions }) => worker_id === "worker-1" && partitions.length === 64),
  );
  for (const key of KEYS) {
    assert.match(await cluster.get("near", key), /^"(before|during)"$/);
    await cluster.put("near", key, '"after"');
    assert.equal(await cluster.get("near", key), '"after"');
  }
  assert(!/unexpected/.test(cluster.main.output), cluster.main.output);
  assert(!cluster.main.over);
}

/** A gRPC server that lets the main worker in, is who it says it is, and answers batches as it likes. */
async function server(processBatch: (request: BatchRequest) => Promise<BatchResponse>) {
  const session: string = crypto.randomUUID();
  const worker = await serveWorkerOverGrpc({
    address: "127.0.0.1:0",
    messageBytesMax: MESSAGE_BYTES,
    authorize: () => true,
    health: true,
    session,
    onFault: () => {},
    handler: {
      processBatch,
      list: () => Promise.reject(new TransportError("broken", "no list")),
      events: () => Promise.reject(new TransportError("broken", "no events")),
    },
  });
  return { address: worker.address, session, [Symbol.asyncDispose]: () => worker.stop(0) };
}

/** A worker that does not answer. */
export async function bearSilent(options: ClusterOptions = {}): Promise<void> {
  await using cluster = await Cluster.start(options);
  const end = Promise.withResolvers<BatchResponse>();
  {
    await using slow = await server(() => end.promise);
    await bear(cluster, new BadNeighbour(cluster, slow.address, slow.session));
    end.resolve({ results: [] });
  }
}

/** A worker that answers garbage. */
export async function bearGarbled(options: ClusterOptions = {}): Promise<void> {
  await using cluster = await Cluster.start(options);
  let n = 0;
  await using garbage = await server(({ operations }) => {
    n += 1;
    if (n % 3 === 0) return Promise.reject(new Error("it fell over"));
    if (n % 3 === 1) return Promise.resolve({ results: [] });
    const wrong = { kind: "retry", reason: "not_owner" } as const;
    return Promise.resolve({ results: [...operations.map(() => wrong), wrong] });
  });
  await bear(cluster, new BadNeighbour(cluster, garbage.address, garbage.session));
  assert(n > 1);
}

/** A worker that can be called when it joins, and then takes connections and reads nothing. */
export async function bearDeaf(options: ClusterOptions = {}): Promise<void> {
  await using cluster = await Cluster.start(options);
  await using hearing = await server(() => Promise.reject(new Error("it is not called")));
  const [, port] = hearing.address.split(":");
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const connections: Deno.Conn[] = [];
  let isDeaf = false;
  const accepting = (async () => {
    for await (const connection of listener) {
      connections.push(connection);
      if (isDeaf) continue;
      const onward = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
      connections.push(onward);
      for (const [from, to] of [[connection, onward], [onward, connection]] as const) {
        from.readable.pipeTo(to.writable).catch(() => {});
      }
    }
  })();
  try {
    const neighbour = new BadNeighbour(cluster, `127.0.0.1:${listener.addr.port}`, hearing.session);
    await bear(cluster, neighbour, () => isDeaf = true);
  } finally {
    listener.close();
    await accepting;
    for (const connection of connections) {
      try {
        connection.close();
      } catch {
        // The other side has closed it.
      }
    }
  }
}
