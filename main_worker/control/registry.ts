/**
 * The processing workers: who may join, who is alive, and what each is told to own. Implements the calls that workers make.
 */
import { HEARTBEAT_MS, HEARTBEATS_MISSED_MAX, WORKERS_MAX } from "../../shared/limits.ts";
import { sameSecret } from "../../shared/crypto/tokens.ts";
import { BoundedAudit } from "../../shared/logging/bounded_audit.ts";
import type { Logger } from "../../shared/logging/logger.ts";
import type { Partition } from "../../shared/names.ts";
import type { Clock, Timer } from "../../shared/seams/clock.ts";
import { type Random, randomHex } from "../../shared/seams/random.ts";
import type {
  CacheFigures,
  Epoch,
  HeartbeatRequest,
  HeartbeatResponse,
  StorageFigures,
  SubscribeRequest,
  SubscribeResponse,
  UnsubscribeRequest,
  WrappedKey,
} from "../../shared/wire/messages.ts";
import { type MainHandler, type ProbeWorker, TransportError } from "../../shared/wire/transport.ts";
import type { Routes, WorkerRoute, WorkerView } from "./control.ts";
import { Placement, type Unserved } from "./placement.ts";

/** What the registry tells the metrics. */
export interface RegistryMetrics {
  workerJoined(result: string): void;
  workerGone(reason: string): void;
  workerTokenIssued(): void;
  partitionsMoved(count: number): void;
}

/** What a registry needs from the parts around it. */
export interface RegistryParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: RegistryMetrics;
  readonly storeId: string;
  readonly partitions: number;
  /** Number of this start of the main worker on its store; epochs begin at `term * 2^32`. */
  readonly term: number;
  readonly workerTtlMs: number;
  readonly documentBytesMax: number;
  /** Id of the current master key. */
  readonly keyId: string;
  /** Whether the proof of a join is right; the reason when it is not. */
  verifyJoin(request: SubscribeRequest): { ok: true } | { ok: false; reason: string };
  /** Whether a worker can be called where it says. */
  readonly probe: ProbeWorker;
  /** The master keys, the current one first, each wrapped for this public key. */
  wrapKeys(
    publicKey: Uint8Array,
  ): Promise<{ kind: "wrapped"; keys: readonly WrappedKey[] } | { kind: "refused"; reason: string }>;
  /** `true`: nobody can take a partition while its owner lives (locks); a lost connection may end a membership at once. */
  readonly locked: boolean;
  /** Called after every change of routes, workers or finished batches. */
  changed(): void;
}

interface Token {
  readonly value: string;
  readonly expiresAtMs: number;
}

interface Member {
  readonly workerId: string;
  readonly session: string;
  readonly address: string;
  readonly tags: Readonly<Record<string, string>>;
  /** Issued, oldest first. */
  tokens: Token[];
  /** The newest that the worker has shown to know: the one to call it with. */
  proven: Token | undefined;
  /** Wall clock, for people. */
  lastSeenMs: number;
  /** Monotonic, for judging. */
  lastArrivalMs: number;
  lastSeq: number;
  leaving: boolean;
  /** Its connection was lost and has not come back yet. */
  gone: boolean;
  activeRequests: number;
  cache: CacheFigures;
  storage: StorageFigures | undefined;
  /** Assignment as it was last told. */
  told: string;
  readonly waiting: Set<() => void>;
  readonly floors: Map<string, number>;
  floorsChanged: boolean;
}

/** A worker that was here: shown until it comes back or {@linkcode DEPARTED_MAX} others have left. */
type Departed = Pick<Member, "workerId" | "tags" | "lastSeenMs" | "cache">;

const DEPARTED_MAX = WORKERS_MAX;
const SWEEP_MS = 500;
/** A lost connection ends a membership unless the worker calls again within this. */
const GONE_MS = 300;
/** A token is renewed when less than this part of its life is left. */
const RENEW_AT = 1 / 3;

const NO_CACHE: CacheFigures = { entries: 0, bytes: 0, hits: 0, misses: 0, evictions: 0 };

export class Registry implements MainHandler {
  readonly #parts: RegistryParts;
  readonly #refusals: BoundedAudit;
  readonly #placement: Placement;
  readonly #members = new Map<string, Member>();
  readonly #departed = new Map<string, Departed>();
  #finished = new Map<string, number>();
  #sweeper: Timer;
  #sweepDueMs: number;
  #closed = false;

  constructor(parts: RegistryParts) {
    this.#parts = parts;
    this.#refusals = new BoundedAudit(parts.log, parts.clock);
    this.#placement = new Placement(parts.partitions, parts.term * 2 ** 32, () => parts.clock.monotonic());
    this.#sweepDueMs = parts.clock.monotonic() + SWEEP_MS;
    this.#sweeper = parts.clock.setTimer(() => this.#sweep(), SWEEP_MS);
  }

  async subscribe(request: SubscribeRequest, peer: string): Promise<SubscribeResponse> {
    const { clock, log, storeId, partitions } = this.#parts;
    const { workerId, session } = request;
    const verdict = this.#parts.verifyJoin(request);
    if (!verdict.ok) throw this.#refusal("denied", request, peer, verdict.reason);
    if (request.storeId !== storeId || request.partitions !== partitions) {
      log.warn("join_refused", { worker_id: workerId, peer, reason: "another store" });
      throw new TransportError(
        "denied",
        "the join was refused: this worker has opened another store than the main worker",
      );
    }
    const wrapped = await this.#parts.wrapKeys(request.publicKey);
    if (wrapped.kind === "refused") throw this.#refusal("denied", request, peer, wrapped.reason);
    const address = dialAddress(request.tags.grpc_addr ?? "", peer);
    // One that cannot be called would be given partitions, and hold them, and nobody could use them.
    const unreachable = this.#members.has(session) ? undefined : await this.#parts.probe(address, session);
    if (unreachable !== undefined) {
      const why = `the main worker cannot call this worker at ${address} (-advertise-addr says where): ${unreachable}`;
      throw this.#refusal("denied", request, peer, why);
    }
    // From here to the end nothing is awaited: two joins at the same time can't both find the id free.
    const twin = [...this.#members.values()].find((m) => m.workerId === workerId && m.session !== session);
    if (twin !== undefined && this.#alive(twin)) {
      const reason = `the worker id "${workerId}" is taken by a live worker at ${twin.address}`;
      throw this.#refusal("busy", request, peer, reason);
    }
    if (this.#members.size >= WORKERS_MAX && !this.#members.has(session) && twin === undefined) {
      throw this.#refusal("busy", request, peer, `there are ${WORKERS_MAX} workers already, and no more are allowed`);
    }
    if (twin !== undefined) this.#remove(twin, "replaced");
    const token = this.#newToken();
    // A request that was delayed on its way may come after a later one of the same session: what that one settled stays.
    const member = this.#members.get(session) ?? this.#newMember(request, address);
    member.tokens = [...member.tokens.filter((known) => known === member.proven), ...member.tokens.slice(-1), token];
    member.lastSeenMs = clock.now();
    member.lastArrivalMs = clock.monotonic();
    member.gone = false;
    this.#members.set(session, member);
    this.#departed.delete(workerId);
    this.#parts.metrics.workerJoined("accepted");
    this.#placement.join(session, request.owned);
    log.info("worker_joined", {
      worker_id: workerId,
      address: member.address,
      holding: request.owned.length,
      workers: this.#members.size,
    });
    this.#rebalance();
    return {
      token: token.value,
      tokenExpiresAtMs: token.expiresAtMs,
      keys: wrapped.keys,
      heartbeatMs: HEARTBEAT_MS,
      term: this.#parts.term,
      documentBytesMax: this.#parts.documentBytesMax,
    };
  }

  async heartbeat(request: HeartbeatRequest, gone: AbortSignal): Promise<HeartbeatResponse> {
    const { clock } = this.#parts;
    const member = this.#authenticated(request);
    member.lastSeenMs = clock.now();
    member.lastArrivalMs = clock.monotonic();
    member.gone = false;
    if (request.seq > member.lastSeq) {
      member.lastSeq = request.seq;
      this.#takeIn(member, request);
    }
    if (!request.immediate && this.#news(member) === undefined && !gone.aborted) {
      await this.#untilNews(member, gone);
      if (gone.aborted) this.#lostConnection(member);
      if (this.#members.get(member.session) !== member) throw unknownMember();
    }
    const assigned = this.#placement.assignedTo(member.session);
    member.told = signature(assigned);
    member.floorsChanged = false;
    const renewed = this.#renewToken(member);
    return {
      epoch: this.#placement.epoch,
      assigned: member.leaving ? [] : assigned,
      floors: [...member.floors].map(([dispatcher, floor]) => ({ dispatcher, floor })),
      ...(renewed ? { token: renewed.value, tokenExpiresAtMs: renewed.expiresAtMs } : {}),
    };
  }

  unsubscribe(request: UnsubscribeRequest): Promise<void> {
    const member = this.#authenticated(request);
    this.#remove(member, "left");
    this.#rebalance();
    return Promise.resolve();
  }

  /** Front saw that nobody listens at a session's address. */
  refused(session: string): void {
    const member = this.#members.get(session);
    if (member === undefined) return;
    this.#remove(member, "refused");
    this.#rebalance();
  }

  /** Lowest batch number that a dispatcher still waits for at a session; the worker learns of it at once. */
  batchFloor(session: string, dispatcher: string, floor: number): void {
    const member = this.#members.get(session);
    if (member === undefined || (member.floors.get(dispatcher) ?? 0) >= floor) return;
    member.floors.set(dispatcher, floor);
    member.floorsChanged = true;
    this.#wake(member);
  }

  routes(): Routes {
    const workers = new Map<string, WorkerRoute>();
    for (const { workerId, session, address, tokens, proven } of this.#members.values()) {
      workers.set(session, { workerId, session, address, token: (proven ?? tokens.at(-1)!).value });
    }
    return { workers, ...this.#placement.owners() };
  }

  /** See `Snapshot.finished`. A new map after each change. */
  finished(): ReadonlyMap<string, number> {
    return this.#finished;
  }

  unserved(): Unserved[] {
    return this.#placement.unserved();
  }

  workers(): WorkerView[] {
    const { keyId } = this.#parts;
    const present = [...this.#members.values()].map((member): WorkerView => ({
      workerId: member.workerId,
      status: this.#alive(member) && !member.leaving ? "Available" : "Unavailable",
      keyId,
      lastSeenMs: member.lastSeenMs,
      tags: { ...member.tags, grpc_addr: member.address },
      activeRequests: member.activeRequests,
      partitions: this.#placement.servedBy(member.session),
      cache: member.cache,
      ...(member.storage ? { storage: member.storage } : {}),
    }));
    const departed = [...this.#departed.values()].map((member): WorkerView => ({
      ...member,
      status: "Unavailable",
      keyId,
      activeRequests: 0,
      partitions: [],
    }));
    return [...present, ...departed].sort((a, b) => a.workerId < b.workerId ? -1 : 1);
  }

  close(): void {
    this.#closed = true;
    this.#parts.clock.clearTimer(this.#sweeper);
    for (const member of this.#members.values()) this.#wake(member);
  }

  #newMember({ workerId, session, tags }: SubscribeRequest, address: string): Member {
    return {
      workerId,
      session,
      address,
      tags,
      tokens: [],
      proven: undefined,
      lastSeenMs: 0,
      lastArrivalMs: 0,
      lastSeq: 0,
      leaving: false,
      gone: false,
      activeRequests: 0,
      cache: NO_CACHE,
      storage: undefined,
      told: "",
      waiting: new Set(),
      floors: new Map(),
      floorsChanged: false,
    };
  }

  #refusal(reason: "denied" | "busy", request: SubscribeRequest, peer: string, why: string): TransportError {
    this.#parts.metrics.workerJoined("refused");
    this.#refusals.audit("join_refused", { worker_id: request.workerId, peer, reason: why });
    return new TransportError(reason, `the join was refused: ${why}`);
  }

  #authenticated(request: { workerId: string; session: string; token: string }): Member {
    const member = this.#members.get(request.session);
    const now = this.#parts.clock.now();
    const shown = member?.tokens.findLast((token) => now < token.expiresAtMs && sameSecret(token.value, request.token));
    if (member === undefined || shown === undefined || member.workerId !== request.workerId) throw unknownMember();
    if (member.proven === undefined || member.tokens.indexOf(shown) > member.tokens.indexOf(member.proven)) {
      member.proven = shown;
      this.#parts.changed();
    }
    return member;
  }

  #takeIn(member: Member, request: HeartbeatRequest): void {
    member.activeRequests = request.activeRequests;
    member.cache = request.cache;
    member.storage = request.storage;
    const before = this.#placement.epoch;
    const served = this.#placement.servedBy(member.session).length;
    const troubles = request.failing.length > 0;
    this.#placement.report(member.session, request);
    const finished = this.#noteFinished(member, request.finished);
    if (request.leaving && !member.leaving) {
      member.leaving = true;
      this.#parts.log.info("worker_leaving", { worker_id: member.workerId });
      this.#rebalance();
    } else if (
      finished || troubles || this.#placement.epoch !== before ||
      this.#placement.servedBy(member.session).length !== served
    ) {
      this.#announce();
    }
  }

  #noteFinished(member: Member, finished: HeartbeatRequest["finished"]): boolean {
    const news = finished.filter(({ dispatcher, floor }) =>
      floor > (this.#finished.get(`${member.session}/${dispatcher}`) ?? 0)
    );
    if (news.length === 0) return false;
    this.#finished = new Map(this.#finished);
    for (const { dispatcher, floor } of news) this.#finished.set(`${member.session}/${dispatcher}`, floor);
    return true;
  }

  #rebalance(): void {
    const moved = this.#placement.rebalance(
      [...this.#members.values()].filter((member) => !member.leaving).map((member) => member.session),
    );
    if (moved > 0) this.#parts.metrics.partitionsMoved(moved);
    this.#announce();
  }

  #announce(): void {
    for (const member of this.#members.values()) if (this.#news(member) !== undefined) this.#wake(member);
    this.#parts.changed();
  }

  #news(member: Member): true | undefined {
    const { clock, workerTtlMs } = this.#parts;
    const aging = member.tokens.at(-1)!.expiresAtMs - clock.now() < workerTtlMs * RENEW_AT;
    const assigned = signature(this.#placement.assignedTo(member.session));
    return aging || member.floorsChanged || assigned !== member.told || undefined;
  }

  #untilNews(member: Member, gone: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    return new Promise((resolve) => {
      const end = () => {
        member.waiting.delete(end);
        clock.clearTimer(timer);
        gone.removeEventListener("abort", end);
        resolve();
      };
      const timer = clock.setTimer(end, HEARTBEAT_MS);
      gone.addEventListener("abort", end, { once: true });
      member.waiting.add(end);
    });
  }

  #wake(member: Member): void {
    for (const end of [...member.waiting]) end();
  }

  /** A waiting heartbeat's connection broke: mostly the process was killed. */
  #lostConnection(member: Member): void {
    if (this.#closed || this.#members.get(member.session) !== member) return;
    const arrival = member.lastArrivalMs;
    member.gone = true;
    this.#parts.clock.setTimer(() => {
      if (this.#members.get(member.session) !== member || member.lastArrivalMs !== arrival) return;
      // Without locks, only time tells that a worker that may be alive has stopped writing: it is missed like any other.
      if (!this.#parts.locked) return;
      this.#remove(member, "connection lost");
      this.#rebalance();
    }, GONE_MS);
  }

  #alive(member: Member): boolean {
    return !member.gone && this.#parts.clock.monotonic() - member.lastArrivalMs < HEARTBEAT_MS * HEARTBEATS_MISSED_MAX;
  }

  #sweep(): void {
    if (this.#closed) return;
    const { clock } = this.#parts;
    const now = clock.monotonic();
    // This process was stopped or starved: the heartbeats that came meanwhile are still on their way in.
    const late = now - this.#sweepDueMs;
    if (late > SWEEP_MS) {
      for (const member of this.#members.values()) member.lastArrivalMs = Math.min(member.lastArrivalMs + late, now);
    }
    const missed = [...this.#members.values()].filter((member) =>
      now - member.lastArrivalMs >= HEARTBEAT_MS * HEARTBEATS_MISSED_MAX
    );
    for (const member of missed) this.#remove(member, "heartbeats missed");
    if (missed.length > 0) this.#rebalance();
    this.#sweepDueMs = now + SWEEP_MS;
    this.#sweeper = clock.setTimer(() => this.#sweep(), SWEEP_MS);
  }

  #remove(member: Member, reason: string): void {
    this.#members.delete(member.session);
    this.#placement.remove(member.session);
    const { workerId, tags, lastSeenMs, cache, address } = member;
    this.#departed.set(workerId, { workerId, tags: { ...tags, grpc_addr: address }, lastSeenMs, cache });
    for (const oldest of this.#departed.keys()) {
      if (this.#departed.size <= DEPARTED_MAX) break;
      this.#departed.delete(oldest);
    }
    this.#finished = new Map([...this.#finished].filter(([key]) => !key.startsWith(`${member.session}/`)));
    this.#wake(member);
    this.#parts.metrics.workerGone(reason.replaceAll(" ", "_"));
    this.#parts.log[reason === "left" ? "info" : "warn"]("worker_gone", {
      worker_id: workerId,
      reason,
      workers: this.#members.size,
    });
  }

  #newToken(): Token {
    const { clock, random, workerTtlMs } = this.#parts;
    this.#parts.metrics.workerTokenIssued();
    return { value: randomHex(random, 32), expiresAtMs: clock.now() + workerTtlMs };
  }

  /** The token that the worker shall use from now on, if that is not the one that it uses. */
  #renewToken(member: Member): Token | undefined {
    const { clock, workerTtlMs } = this.#parts;
    const newest = member.tokens.at(-1)!;
    const fresh = newest.expiresAtMs - clock.now() >= workerTtlMs * RENEW_AT;
    if (fresh) return newest === member.proven ? undefined : newest;
    const token = this.#newToken();
    member.tokens = [member.proven ?? newest, token];
    return token;
  }
}

function signature(assigned: readonly { partition: Partition; epoch: Epoch }[]): string {
  return assigned.map(({ partition, epoch }) => `${partition}:${epoch}`).join();
}

function unknownMember(): TransportError {
  return new TransportError("denied", "this worker is not a member now; it must join again");
}

/** Where to dial a worker: what it advertises, with the address that it called from where its host says nothing. */
export function dialAddress(advertised: string, peer: string): string {
  const at = advertised.lastIndexOf(":");
  const host = advertised.slice(0, at).replace(/^\[(.*)\]$/, "$1");
  const port = advertised.slice(at + 1);
  const unspecified = host === "" || host === "0.0.0.0" || host === "::" || host === "*";
  const target = unspecified ? peer : host;
  return `${target.includes(":") ? `[${target}]` : target}:${port}`;
}
