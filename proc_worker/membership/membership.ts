/**
 * The worker's place in the cluster: it joins the main worker with a proof, keeps its place by heartbeats, follows the
 * assignment that they bring, joins again when the main worker was restarted, and leaves in good order.
 */
import { HEARTBEAT_MS, HEARTBEATS_MISSED_MAX, JOIN_TIMEOUT_MS } from "../../shared/limits.ts";
import type { Logger } from "../../shared/logging/logger.ts";
import type { Partition } from "../../shared/names.ts";
import { type Clock, Instant, sleep } from "../../shared/seams/clock.ts";
import type { Random } from "../../shared/seams/random.ts";
import type { HeartbeatRequest, HeartbeatResponse, SubscribeResponse } from "../../shared/wire/messages.ts";
import { type MainClient, TransportError } from "../../shared/wire/transport.ts";

/** Who this worker is, and what it shows when it joins. */
export interface Identity {
  readonly workerId: string;
  /** Random per start of the process. */
  readonly session: string;
  readonly publicKey: Uint8Array;
  readonly tags: Readonly<Record<string, string>>;
  readonly storeId: string;
  readonly partitions: number;
  /** HMAC over the identity and `timestampMs`, by the secret that is valid right now. Rejects when it cannot be read. */
  prove(timestampMs: number): Promise<Uint8Array>;
}

/** What a heartbeat tells of this worker, and what is done with its answer. */
export interface MembershipPeers {
  joined(response: SubscribeResponse): Promise<void>;
  assigned(response: HeartbeatResponse): void;
  holding(): readonly Partition[];
  report(): Pick<
    HeartbeatRequest,
    "owned" | "releasing" | "failing" | "finished" | "epoch" | "activeRequests" | "cache" | "storage"
  >;
}

export interface MembershipParts {
  readonly client: MainClient;
  readonly identity: Identity;
  readonly peers: MembershipPeers;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: { heartbeatFailed(): void };
}

/** The main worker will not have this worker (any more), and waiting does not help. `message` says why. */
export class JoinRefused extends Error {
  override name = "JoinRefused";
}

/** A worker gives up when it has been refused for this long: it may hold partitions that others could serve. */
const REFUSED_MS_MAX = 12_000;
/** One that was a member, and whose id another process has taken meanwhile, gives up sooner. */
const REPLACED_MS_MAX = 3_000;
/** A worker that leaves does not wait longer for the main worker to take notice. */
const FAREWELL_MS = 2_000;
const RETRY_MS = 200;
const RETRY_MS_MAX = 2_000;
/** A heartbeat may be answered this much later than it should. */
const ANSWER_SLACK_MS = 3_000;

interface Token {
  readonly value: string;
  readonly expiresAtMs: number;
}

export class Membership {
  readonly #parts: MembershipParts;
  readonly #stopping = new AbortController();
  #tokens: Token[] = [];
  #heartbeatMs = HEARTBEAT_MS;
  #seq = 0;
  #leaving = false;
  #member = false;
  /** When a join or a heartbeat was sent that was answered. */
  #answered: Instant | undefined;
  /** When a heartbeat was sent whose answer was acted on. */
  #assigned: Instant | undefined;
  #poked = false;
  #poking = false;

  constructor(parts: MembershipParts) {
    this.#parts = parts;
  }

  /** Whether this worker has joined and its heartbeats are answered. */
  get member(): boolean {
    return this.#member;
  }

  /** Whether the main worker has answered lately. */
  get connected(): boolean {
    return this.#member && this.sinceAnsweredMs < this.#heartbeatMs * HEARTBEATS_MISSED_MAX;
  }

  /** When the newest token ends, in milliseconds since the epoch; `undefined` before the first join. */
  get tokenExpiresAtMs(): number | undefined {
    return this.#tokens.at(-1)?.expiresAtMs;
  }

  /** Milliseconds since a join or a heartbeat was sent that was answered; infinite before the first. */
  get sinceAnsweredMs(): number {
    return this.#answered?.elapsed(this.#parts.clock) ?? Infinity;
  }

  /**
   * Milliseconds since a heartbeat was sent whose answer, the assignment, was acted on: how old the right to own partitions is.
   * A join does not renew it: what was owned before may be another's.
   */
  get sinceAssignedMs(): number {
    return this.#assigned?.elapsed(this.#parts.clock) ?? Infinity;
  }

  /** Whether a caller that shows `token` is the main worker; `same` compares in constant time. */
  authorize(token: string, same: (a: string, b: string) => boolean): boolean {
    const now = this.#parts.clock.now();
    let known = false;
    for (const { value, expiresAtMs } of this.#tokens) if (now < expiresAtMs && same(value, token)) known = true;
    return known;
  }

  /** Joins and stays a member until {@linkcode stop}. @throws {JoinRefused} when it is refused for too long. */
  async run(): Promise<void> {
    const { clock } = this.#parts;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        await this.#join();
        const joinedMs = clock.monotonic();
        await this.#stay();
        // A membership that ends as soon as it begins would be joined again and again without a pause.
        if (clock.monotonic() - joinedMs < RETRY_MS_MAX) await sleep(clock, RETRY_MS, signal);
      } catch (error) {
        if (signal.aborted) return;
        throw error;
      }
    }
  }

  async #join(): Promise<void> {
    const { client, identity, peers, clock, log, random } = this.#parts;
    const { signal } = this.#stopping;
    let refusedSince: number | undefined;
    let said = "";
    for (let wait = RETRY_MS; !signal.aborted; wait = Math.min(wait * 2, RETRY_MS_MAX)) {
      try {
        const timestampMs = clock.now();
        const proof = await this.#prove(timestampMs);
        const sent = Instant.now(clock);
        const { workerId, session, publicKey, tags, storeId, partitions } = identity;
        const response = await client.subscribe({
          workerId,
          session,
          publicKey,
          tags,
          storeId,
          partitions,
          timestampMs,
          proof,
          owned: peers.holding(),
        }, JOIN_TIMEOUT_MS);
        this.#tokens = [...this.#tokens.slice(-1), { value: response.token, expiresAtMs: response.tokenExpiresAtMs }];
        this.#heartbeatMs = response.heartbeatMs;
        try {
          await peers.joined(response);
          signal.throwIfAborted();
        } catch (error) {
          // The main worker counts on it already.
          await client.unsubscribe({ workerId, session, token: response.token }, FAREWELL_MS).catch(() => {});
          throw error;
        }
        this.#answered = sent;
        this.#member = true;
        log.info("joined", { worker_id: workerId, term: response.term, keys: response.keys.length });
        return;
      } catch (error) {
        if (!(error instanceof TransportError)) throw error;
        const refused = error.reason === "denied" || error.reason === "busy";
        refusedSince = refused ? refusedSince ?? clock.monotonic() : undefined;
        if (said !== error.message) {
          said = error.message;
          log.warn("join_failed", { reason: error.reason, error: error.message });
        }
        const patienceMs = this.#member && error.reason === "busy" ? REPLACED_MS_MAX : REFUSED_MS_MAX;
        if (refused && clock.monotonic() - refusedSince! > patienceMs) throw new JoinRefused(error.message);
        await sleep(clock, wait * (0.5 + random.unit() / 2), signal);
      }
    }
  }

  /** The proof; what keeps it from being made (a store that does not answer) may pass. */
  async #prove(timestampMs: number): Promise<Uint8Array> {
    try {
      return await this.#parts.identity.prove(timestampMs);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new TransportError("broken", `the join secret cannot be read: ${reason}`, { cause: error });
    }
  }

  async #stay(): Promise<void> {
    const { clock, log, random } = this.#parts;
    const { signal } = this.#stopping;
    let said: string | undefined;
    while (!signal.aborted) {
      try {
        await this.#heartbeat(false);
        said = undefined;
      } catch (error) {
        if (!(error instanceof TransportError)) throw error;
        // It left while its heartbeat was under way.
        if (signal.aborted) return;
        this.#parts.metrics.heartbeatFailed();
        if (said !== error.reason) log.warn("heartbeat_failed", { reason: error.reason, error: error.message });
        said = error.reason;
        if (error.reason === "denied") return;
        await sleep(clock, RETRY_MS * (0.5 + random.unit() / 2), signal);
      }
    }
  }

  async #heartbeat(immediate: boolean, deadlineMs = this.#heartbeatMs + ANSWER_SLACK_MS): Promise<void> {
    const { client, identity, peers, clock } = this.#parts;
    const sent = Instant.now(clock);
    const response = await client.heartbeat({
      workerId: identity.workerId,
      session: identity.session,
      token: this.#tokens.at(-1)!.value,
      seq: ++this.#seq,
      leaving: this.#leaving,
      immediate,
      ...peers.report(),
    }, deadlineMs);
    this.#answered = Instant.later(this.#answered, sent);
    if (response.token !== undefined && response.token !== this.#tokens.at(-1)!.value) {
      const renewed = { value: response.token, expiresAtMs: response.tokenExpiresAtMs! };
      this.#tokens = [...this.#tokens.slice(-1), renewed];
    }
    peers.assigned(response);
    this.#assigned = Instant.later(this.#assigned, sent);
  }

  /** Tells the main worker at once that something has changed; calls that come while one is under way become one. */
  poke(): void {
    this.#poked = true;
    if (this.#poking || !this.#member) return;
    this.#poking = true;
    queueMicrotask(async () => {
      while (this.#poked && !this.#stopping.signal.aborted) {
        this.#poked = false;
        try {
          await this.#heartbeat(true);
        } catch (error) {
          // The long heartbeat meets the same trouble and deals with it; its next report has all that this one had.
          this.#parts.log.debug("heartbeat_failed", { error });
          break;
        }
      }
      this.#poking = false;
    });
  }

  /** Says that this worker is leaving, so that its partitions go elsewhere as it gives them up. */
  async leave(): Promise<void> {
    this.#leaving = true;
    if (!this.#member) return;
    try {
      await this.#heartbeat(true, FAREWELL_MS);
    } catch (error) {
      this.#parts.log.warn("leave_failed", { error });
    }
  }

  /** Ends the membership; what is assigned must have been given up before. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error("the worker stops"));
    if (!this.#member) return;
    const { client, identity, log } = this.#parts;
    const { workerId, session } = identity;
    try {
      await client.unsubscribe({ workerId, session, token: this.#tokens.at(-1)!.value }, FAREWELL_MS);
    } catch (error) {
      log.warn("unsubscribe_failed", { error });
    }
  }
}
