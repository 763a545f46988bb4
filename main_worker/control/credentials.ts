/** API keys and what else authentication needs: kept durably as hashes, changed one after the other, published as a snapshot. */
import { createApiKeySecret, secretHash } from "../../shared/crypto/tokens.ts";
import { API_KEY_TURNS, API_KEYS_MAX } from "../../shared/limits.ts";
import { type Failure, failure } from "../../shared/outcome.ts";
import type { Clock } from "../../shared/seams/clock.ts";
import { type Random, randomHex } from "../../shared/seams/random.ts";
import { type Shelf, StorageError } from "../../shared/storage/store.ts";
import { changeFailure, Changes } from "./changes.ts";
import type { ApiKey, Changed, Credentials, NewApiKey, Permission } from "./control.ts";

/** Name of the object on the store's `_auth` shelf. */
export const API_KEYS_OBJECT = "keys.json";

/** What {@linkcode CredentialStore.open} needs. */
export interface CredentialOptions {
  /** The store's `_auth` shelf. */
  readonly shelf: Shelf;
  readonly clock: Clock;
  readonly random: Random;
  /** Hex SHA-256 of the admin key; `null`: dev mode. */
  readonly adminKeyHash: string | null;
  /** Keys of session tokens, the current one first. */
  readonly sessionKeys: readonly Uint8Array[];
  readonly clientTtlMs: number;
  /** Hands new credentials to every front; resolves when all have confirmed them. */
  readonly publish: (credentials: Credentials) => Promise<void>;
}

/** The stored form of an API key. Times are RFC 3339. */
export interface StoredKey {
  readonly id: string;
  readonly name: string;
  readonly hash: string;
  readonly permissions: readonly Permission[];
  readonly schemas?: readonly string[];
  readonly created_at: string;
  readonly expires_at: string | null;
}

/** The credentials in force. */
export class CredentialStore {
  readonly #options: CredentialOptions;
  #current: Credentials;
  readonly #changes: Changes;

  private constructor(options: CredentialOptions, apiKeys: readonly ApiKey[]) {
    this.#options = options;
    this.#changes = new Changes(options.clock, API_KEY_TURNS);
    this.#current = {
      revision: 1,
      adminKeyHash: options.adminKeyHash,
      apiKeys,
      sessionKeys: options.sessionKeys,
      clientTtlMs: options.clientTtlMs,
    };
  }

  /** Reads the stored keys. @throws {StorageError} also when they cannot be understood: nobody's key is dropped silently. */
  static async open(options: CredentialOptions): Promise<CredentialStore> {
    const bytes = await options.shelf.get(API_KEYS_OBJECT);
    return new CredentialStore(options, bytes === undefined ? [] : parseApiKeys(bytes));
  }

  /** An immutable value, replaced as a whole by each change. */
  get current(): Credentials {
    return this.#current;
  }

  /** Makes a key. The secret is in the answer and nowhere else. */
  create(key: NewApiKey): Promise<Changed<{ key: ApiKey; secret: string }>> {
    return this.#changes.ofClient(async () => {
      const nowMs = this.#options.clock.now();
      let others = this.#current.apiKeys;
      if (others.length >= API_KEYS_MAX) {
        others = others.filter(({ expiresAtMs }) => expiresAtMs === null || expiresAtMs > nowMs);
      }
      if (others.length >= API_KEYS_MAX) {
        return failure("bad_request", `There are ${API_KEYS_MAX} API keys, which is the most; revoke some first`);
      }
      const secret = createApiKeySecret(this.#options.random);
      const created: ApiKey = {
        id: randomHex(this.#options.random, 8),
        name: key.name,
        hash: secretHash(secret),
        permissions: key.permissions,
        ...(key.schemas === undefined ? {} : { schemas: key.schemas }),
        createdAtMs: nowMs,
        expiresAtMs: key.expiresInMs === undefined ? null : nowMs + key.expiresInMs,
      };
      const failed = await this.#replace([...others, created]);
      return failed ?? { kind: "done", value: { key: created, secret } };
    });
  }

  /** Removes a key; when it has answered, no front accepts it or a session of it any more. */
  revoke(id: string): Promise<Changed<{ existed: boolean }>> {
    return this.#changes.ofClient<{ existed: boolean }>(async () => {
      const rest = this.#current.apiKeys.filter((key) => key.id !== id);
      if (rest.length === this.#current.apiKeys.length) return { kind: "done", value: { existed: false } };
      const failed = await this.#replace(rest);
      return failed ?? { kind: "done", value: { existed: true } };
    });
  }

  /** Adds keys of a backup by their hashes; those whose id or hash is there already stay as they are. Answers how many were added. */
  restore(keys: readonly ApiKey[]): Promise<Changed<{ added: number }>> {
    return this.#changes.own(async () => {
      const present = this.#current.apiKeys;
      const taken = new Set(present.flatMap(({ id, hash }) => [id, hash]));
      const added = keys.filter(({ id, hash }) => {
        const isNew = !taken.has(id) && !taken.has(hash);
        taken.add(id).add(hash);
        return isNew;
      });
      if (present.length + added.length > API_KEYS_MAX) {
        return failure("bad_request", `The API keys would be more than ${API_KEYS_MAX}`);
      }
      if (added.length === 0) return { kind: "done", value: { added: 0 } };
      const failed = await this.#replace([...present, ...added]);
      return failed ?? { kind: "done", value: { added: added.length } };
    });
  }

  /** Durable first, then in force, then confirmed by every front. */
  async #replace(apiKeys: readonly ApiKey[]): Promise<Failure | undefined> {
    try {
      await this.#options.shelf.put(API_KEYS_OBJECT, serializeApiKeys(apiKeys));
    } catch (error) {
      return changeFailure(error, "the API keys");
    }
    this.#current = { ...this.#current, revision: this.#current.revision + 1, apiKeys };
    await this.#options.publish(this.#current);
    return undefined;
  }
}

/** The stored form of keys. */
export function serializeApiKeys(apiKeys: readonly ApiKey[]): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ format: 1, keys: apiKeys.map(storedKey) }, null, 1) + "\n");
}

/** The stored form of one key. */
export function storedKey(key: ApiKey): StoredKey {
  return {
    id: key.id,
    name: key.name,
    hash: key.hash,
    permissions: key.permissions,
    ...(key.schemas === undefined ? {} : { schemas: key.schemas }),
    created_at: new Date(key.createdAtMs).toISOString(),
    expires_at: key.expiresAtMs === null ? null : new Date(key.expiresAtMs).toISOString(),
  };
}

/** The keys in their stored form. @throws {StorageError} `corrupt` */
export function parseApiKeys(bytes: Uint8Array): readonly ApiKey[] {
  const corrupt = (what: string) => new StorageError("corrupt", `_auth/${API_KEYS_OBJECT} ${what}`);
  let file: unknown;
  try {
    file = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw corrupt("is not JSON");
  }
  const { format, keys } = (file ?? {}) as { format?: unknown; keys?: unknown };
  if (format !== 1 || !Array.isArray(keys)) throw corrupt("is not of a format that this version knows");
  return keys.map((stored: unknown, index) => {
    const key = parseStoredKey(stored);
    if (key === undefined) throw corrupt(`has an entry that is not an API key (the ${index + 1}th)`);
    return key;
  });
}

/** A key in its stored form, or `undefined` when it is not one. */
export function parseStoredKey(stored: unknown): ApiKey | undefined {
  if (stored === null || typeof stored !== "object") return undefined;
  const { id, name, hash, permissions, schemas, created_at, expires_at } = stored as Record<string, unknown>;
  const createdAtMs = typeof created_at === "string" ? Date.parse(created_at) : NaN;
  const expiresAtMs = expires_at === null ? null : typeof expires_at === "string" ? Date.parse(expires_at) : NaN;
  if (typeof id !== "string" || id === "" || typeof name !== "string") return undefined;
  if (typeof hash !== "string" || !/^[0-9a-f]{64}$/.test(hash)) return undefined;
  if (!isListOf(permissions, isPermission)) return undefined;
  if (schemas !== undefined && !isListOf(schemas, (item): item is string => typeof item === "string")) return undefined;
  if (Number.isNaN(createdAtMs) || Number.isNaN(expiresAtMs)) return undefined;
  return { id, name, hash, permissions, ...(schemas === undefined ? {} : { schemas }), createdAtMs, expiresAtMs };
}

function isListOf<T>(value: unknown, isItem: (item: unknown) => item is T): value is readonly T[] {
  return Array.isArray(value) && value.every(isItem);
}

function isPermission(item: unknown): item is Permission {
  return item === "read" || item === "write" || item === "admin";
}
